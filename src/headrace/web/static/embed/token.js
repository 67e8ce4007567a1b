// The viewer token: from the fragment of the address, or from the page around this one by postMessage. It is kept in a
// variable only: not in an address (the fragment is taken away at once), a cookie, or storage. Messages are
//   to the page around:  { type: "headrace.token-wanted", reason: "missing" | "expired" }
//   from it:             { type: "headrace.token", token: "…" }

const PATIENCE = 10_000;  // ms for an answer, until people are told
const FORM = /^[\w.-]{1,8192}$/;

export class Token {
  #value; #waiting; #told; #origins;

  /** `told(state)`: "asking", "unanswered" or "arrived". */
  constructor(origins, told) {
    this.#origins = origins;
    this.#told = told;
    addEventListener("message", event => this.#heard(event));
    addEventListener("hashchange", () => this.#readFragment());
    this.#readFragment();
  }

  /** The token, once there is one. */
  get() {
    return this.#value === undefined ? this.#want("missing") : Promise.resolve(this.#value);
  }

  /** Another one than `old`, which is good no longer. */
  renew(old) {
    if (this.#value === old) this.#value = undefined;
    return this.#value === undefined ? this.#want("expired") : Promise.resolve(this.#value);
  }

  #want(reason) {
    if (!this.#waiting) {
      let arrived;
      const promise = new Promise(resolve => { arrived = resolve; });
      this.#waiting = { arrived, promise, reason };
      this.ask();
    }
    return this.#waiting.promise;
  }

  /** Ask the page around, again if need be. */
  ask() {
    if (!this.#waiting) return;
    this.#told("asking", this.#waiting.reason);
    clearTimeout(this.#waiting.timer);
    const unanswered = () => this.#told("unanswered", this.#waiting?.reason);
    if (parent === window) { unanswered(); return; }
    this.#waiting.timer = setTimeout(unanswered, PATIENCE);
    // The browser hands a message to no other origin than the one it is meant for.
    const around = location.ancestorOrigins?.[0];
    for (const origin of around ? [around] : this.#origins)
      if (this.#origins.includes(origin)) parent.postMessage({ type: "headrace.token-wanted", reason: this.#waiting.reason }, origin);
  }

  #heard({ source, origin, data }) {
    if (source === parent && parent !== window && this.#origins.includes(origin) && data?.type === "headrace.token")
      this.#take(data.token);
  }

  #readFragment() {
    const token = new URLSearchParams(location.hash.slice(1)).get("token");
    if (!location.hash) return;
    history.replaceState(null, "", location.pathname + location.search);
    this.#take(token);
  }

  #take(token) {
    if (typeof token !== "string" || !FORM.test(token)) return;
    this.#value = token;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    clearTimeout(waiting?.timer);
    if (waiting) this.#told("arrived");
    waiting?.arrived(token);
  }
}

/** What a token says that it is restricted to: [[name, value], …]. For people; the server alone decides. */
export function filterOf(token) {
  try {
    const part = token.split(".")[1].replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(part), letter => letter.charCodeAt(0));
    const { pairs } = JSON.parse(new TextDecoder().decode(bytes));
    return pairs.map(([name, value]) => [String(name), String(value)]);
  } catch {
    return [];
  }
}
