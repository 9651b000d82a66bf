"""Runs the blocks of the README's section about Python, each as a program of its own."""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

README = pathlib.Path(__file__).resolve().parents[3] / "README.md"
# Opens a window, or waits for a camera: these run with a simulated camera for 20 frames.
CAMERA = '"192.168.1.50"'


class Readme(unittest.TestCase):
    def test_the_blocks_run(self):
        blocks = re.findall(r"^```py\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
        self.assertGreaterEqual(len(blocks), 4)
        with tempfile.TemporaryDirectory() as folder:
            for block in blocks:
                # Ends the loops that would run for ever.
                program = block.replace(CAMERA, '"file:camera.mcap?speed=max"').replace('"192.168.1.51"', '"sim:?fps=100"')
                if not (pathlib.Path(folder) / "camera.mcap").exists():
                    make = "import oaktap, time\nwith oaktap.record('sim:?fps=100', 'camera.mcap') as r:\n    while r.frames < 40: time.sleep(0.01)\n"
                    subprocess.run([sys.executable, "-c", make], cwd=folder, check=True, timeout=60)
                result = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=120)
                self.assertEqual(result.returncode, 0, f"{program}\n{result.stdout[-500:]}\n{result.stderr}")
                self.assertEqual(result.stderr, "", program)
                self.assertTrue(result.stdout or list(pathlib.Path(folder).iterdir()), program)


if __name__ == "__main__":
    unittest.main()
