// The connection to the server: pictures of all cameras over one WebSocket. src/serve/socket.rs describes its messages.

const RETRY_MS = [250, 500, 1000, 2000];

export class Connection {
  #socket = null;
  #attempts = 0;
  #watch = [];
  #handlers;
  #closed = false;

  /** handlers: cameras(list, records), picture(head, bytes, drawn), replay(state), marks(marks), state(connected) */
  constructor(handlers) {
    this.#handlers = handlers;
    this.#open();
  }

  /** Shows these cameras from now on: a list of { camera, width, video }. */
  watch(list) {
    if (JSON.stringify(list) === JSON.stringify(this.#watch)) return;
    this.#watch = list;
    this.send({ watch: list });
  }

  close() {
    this.#closed = true;
    this.#socket?.close();
  }

  /** Sends a message, unless there is no connection. */
  send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #open() {
    const address = new URL("/socket", location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => {
      this.#attempts = 0;
      this.#handlers.state(true);
      this.send({ watch: this.#watch });
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") {
        const { cameras, records, replay, marks } = JSON.parse(data);
        if (cameras) this.#handlers.cameras(cameras, records);
        if (replay) this.#handlers.replay(replay);
        if (marks) this.#handlers.marks(marks);
        return;
      }
      const length = new DataView(data).getUint32(0, true);
      const head = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
      const picture = new Uint8Array(data, 4 + length);
      // A connection that was opened since then knows nothing of this picture.
      const drawn = () => {
        if (this.#socket === socket) this.send({ drawn: head.camera ?? null });
      };
      this.#handlers.picture(head, picture, drawn);
    };
    socket.onclose = () => {
      if (this.#closed) return;
      this.#handlers.state(false);
      const delay = RETRY_MS[Math.min(this.#attempts, RETRY_MS.length - 1)];
      this.#attempts += 1;
      setTimeout(() => this.#open(), delay);
    };
  }
}
