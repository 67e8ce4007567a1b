// Exports with progress: bytes so far, and a way to stop. Without this script the links download by themselves.
"use strict";
(() => {
  const menu = document.querySelector("[data-exports]");
  if (!menu) return;
  const state = menu.querySelector("[data-export-state]");
  const told = state.querySelector("[role=status]"), button = state.querySelector("button");
  let stop = null;

  menu.addEventListener("click", event => {
    const link = event.target.closest("[data-export]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (!stop) run(link.href);
  });
  button.addEventListener("click", () => stop?.abort());

  async function run(url) {
    stop = new AbortController();
    state.hidden = button.hidden = false;
    told.textContent = "Starting…";
    try {
      const answer = await fetch(url, {signal: stop.signal});
      if (!answer.ok || answer.redirected) throw new Error(await reason(answer));
      save(await read(answer), /filename="([^"]+)"/.exec(answer.headers.get("content-disposition"))?.[1] || "export");
    } catch (error) {
      told.textContent = error.name === "AbortError" ? "Cancelled: nothing was kept." : error.name === "TypeError"
        ? "The connection broke: the file is not whole, and was not kept. Try again." : error.message;
    } finally {
      stop = null;
      button.hidden = true;
    }
  }

  async function read(answer) {
    const reader = answer.body.getReader(), pieces = [];
    let size = 0, last = 0;
    for (;;) {
      const {done, value} = await reader.read();
      if (done) break;
      pieces.push(new Blob([value]));  // the browser keeps blobs on disk when they are many
      size += value.length;
      if (performance.now() - last > 100) {
        last = performance.now();
        told.textContent = `${bytes(size)} so far…`;
      }
    }
    return new Blob(pieces, {type: answer.headers.get("content-type") || ""});
  }

  function save(blob, name) {
    const link = Object.assign(document.createElement("a"), {href: URL.createObjectURL(blob), download: name});
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    told.textContent = `Done: ${name}, ${bytes(blob.size)}.`;
  }

  async function reason(answer) {
    if (answer.redirected) return "Your session has ended: load the page again to sign in.";
    return answer.status === 503 ? "The store is busy: try again in a moment." : `The server answered ${answer.status}: try again.`;
  }

  function bytes(size) {
    for (const unit of ["bytes", "KiB", "MiB"]) {
      if (size < 1024) return `${unit === "bytes" ? size : size.toFixed(1)} ${unit}`;
      size /= 1024;
    }
    return `${size.toFixed(1)} GiB`;
  }
})();
