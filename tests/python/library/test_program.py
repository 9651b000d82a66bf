"""The program `oaktap` of the package, which is the library."""

import json
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest

import oaktap


class Program(unittest.TestCase):
    def run_program(self, *words):
        return subprocess.run([sys.executable, "-m", "oaktap", *words], capture_output=True, text=True, timeout=120)

    def test_output_and_exit_codes_are_those_of_the_program(self):
        shown = self.run_program("--version")
        self.assertEqual((shown.returncode, shown.stdout), (0, f"oaktap {oaktap.__version__}\n"))
        wrong = self.run_program("view", "--nonsense")
        self.assertEqual((wrong.returncode, wrong.stdout), (2, ""))
        self.assertIn("--nonsense", wrong.stderr)
        missing = self.run_program("inspect", "missing.mcap")
        self.assertEqual(missing.returncode, 1)
        self.assertRegex(missing.stderr, r"^error: .*missing\.mcap")
        lines = self.run_program("detections", "sim:?fps=50&size=64x48", "-n", "5", "--json")
        self.assertEqual(lines.returncode, 0, lines.stderr)
        self.assertEqual(json.loads(lines.stdout.splitlines()[-1])["summary"]["command"], "detections")

    def test_ctrl_c_ends_a_recording_properly(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "a.mcap"
            command = [sys.executable, "-m", "oaktap", "record", "sim:?fps=50&size=64x48", "-o", str(path), "--status", "50ms"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
                for line in process.stdout:
                    if re.search(r'"confirmed":[1-9][0-9]', line):
                        break
                process.send_signal(signal.SIGINT)
                _, errors = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 0, errors)
            self.assertGreater(len(oaktap.Recording(path)), 5)


if __name__ == "__main__":
    unittest.main()
