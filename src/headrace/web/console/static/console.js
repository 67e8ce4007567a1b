// What every page of the console does: times in the viewer's zone, copying, asking before what cannot be undone,
// messages, the token that shows requests to be ours, and the colours. Pages find it as `headrace`.
"use strict";

const headrace = (() => {
  const byId = (id) => document.getElementById(id);

  // --- times: in the viewer's zone, with UTC on hover ---------------------------------------------------------------

  const two = (number) => String(number).padStart(2, "0");

  function moment(date, style = "full") {
    const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
    const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
    if (style === "date") return day;
    if (style === "time") return `${time}.${String(date.getMilliseconds()).padStart(3, "0")}`;
    return `${day} ${time}`;
  }

  function ago(date, now = Date.now()) {
    const seconds = (now - date.getTime()) / 1000;
    const length = Math.abs(seconds);
    const [number, unit] = length < 45 ? [0, ""] : length < 3570 ? [length / 60, "min"]
      : length < 86100 ? [length / 3600, "h"] : length < 60 * 86400 ? [length / 86400, "d"] : [length / (30 * 86400), "months"];
    if (unit === "") return seconds < -5 ? "in a moment" : "just now";
    const text = `${Math.round(number)} ${unit}`;
    return seconds < 0 ? `in ${text}` : `${text} ago`;
  }

  function showTimes(root) {
    for (const time of root.querySelectorAll("time[data-moment]")) {
      const date = new Date(time.dateTime);
      if (!Number.isNaN(date.getTime())) time.textContent = moment(date, time.dataset.moment || "full");
    }
    for (const time of root.querySelectorAll("time[data-ago]")) {
      const date = new Date(time.dateTime);
      if (!Number.isNaN(date.getTime())) time.textContent = ago(date);
    }
  }

  setInterval(() => { if (!document.hidden) showTimes(document); }, 15000);

  // --- messages -------------------------------------------------------------------------------------------------------

  const SIGNS = { ok: "M5 12l5 5 9-10", bad: "M12 4l9 16H3zM12 10v4M12 17v.5", "": "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18M12 11v6M12 7v.5" };

  function icon(path) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    made.setAttribute("class", "icon");
    made.setAttribute("viewBox", "0 0 24 24");
    made.setAttribute("aria-hidden", "true");
    line.setAttribute("d", path);
    made.append(line);
    return made;
  }

  // kind: "ok", "bad" or "". `action` is {label, run}, an undo for example. Bad news stays until it is closed.
  function toast(text, kind = "", action = null) {
    const box = document.createElement("div");
    const said = document.createElement("div");
    const close = document.createElement("button");
    box.className = `toast ${kind}`;
    if (kind === "bad") box.setAttribute("role", "alert");
    said.textContent = text;
    close.type = "button";
    close.className = "button quiet";
    close.setAttribute("aria-label", "Close this message");
    close.dataset.dismiss = "";
    close.append(icon("M6 6l12 12M18 6L6 18"));
    box.append(icon(SIGNS[kind] || SIGNS[""]), said);
    if (action) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "button small";
      button.textContent = action.label;
      button.addEventListener("click", () => { box.remove(); action.run(); });
      box.append(button);
    }
    box.append(close);
    byId("toasts").append(box);
    if (kind !== "bad") setTimeout(() => box.remove(), action ? 12000 : 6000);
    return box;
  }

  // --- asking ----------------------------------------------------------------------------------------------------------

  // Resolves to whether to go on. {title, text, action, word}: `word` has to be typed first.
  function ask({ title = "Are you sure?", text = "", action = "Go on", word = "" }) {
    const dialog = byId("confirm");
    const input = byId("confirm-input");
    const yes = byId("confirm-yes");
    byId("confirm-title").textContent = title;
    byId("confirm-text").textContent = text;
    byId("confirm-typed").hidden = word === "";
    byId("confirm-word").textContent = word;
    yes.textContent = action;
    input.value = "";
    yes.disabled = word !== "";
    input.oninput = () => { yes.disabled = input.value !== word; };
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
    });
  }

  const question = (element) => ({
    title: element.dataset.confirmTitle || "Are you sure?",
    text: element.dataset.confirm || element.getAttribute("hx-confirm") || "",
    action: element.dataset.confirmAction || "Go on",
    word: element.dataset.confirmWord || "",
  });

  // A Cancel that is the first button of a form takes the Enter key; here that has to be the other one.
  byId("confirm").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target !== byId("confirm-input")) return;
    event.preventDefault();
    if (!byId("confirm-yes").disabled) byId("confirm-yes").click();
  });

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    const asker = event.submitter && event.submitter.dataset.confirm !== undefined ? event.submitter : form;
    if (asker.dataset.confirm !== undefined && !form.dataset.confirmed && !isHtmx(form)) {
      event.preventDefault();
      if (await ask(question(asker))) {
        form.dataset.confirmed = "yes";
        form.requestSubmit(event.submitter);
      }
      return;
    }
    delete form.dataset.confirmed;
    if (form.method === "post" && !isHtmx(form) && !event.defaultPrevented) busy(form, event.submitter);
  });

  const isHtmx = (element) => element.closest("[hx-post], [hx-get], [hx-put], [hx-patch], [hx-delete]") === element;

  function busy(form, button) {
    form.setAttribute("aria-busy", "true");
    if (button) setTimeout(() => { button.disabled = true; });  // after the form was read: its value has to go along
  }

  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    for (const form of document.querySelectorAll("form[aria-busy]")) {
      form.removeAttribute("aria-busy");
      for (const button of form.querySelectorAll("button:disabled")) button.disabled = false;
    }
  });

  // --- copying ---------------------------------------------------------------------------------------------------------

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {  // no clipboard without TLS, but on this machine: the old way still works
      const area = document.createElement("textarea");
      area.value = text;
      area.className = "visually-hidden";
      (document.querySelector("dialog[open]") || document.body).append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  }

  async function copyFor(button) {
    const from = button.dataset.copyFrom;
    const source = from ? document.querySelector(from) : null;
    const text = source ? source.value ?? source.textContent : button.dataset.copy;
    const done = await copy(text);
    const label = button.querySelector("[data-label]") || button;
    if (button.dataset.wasCalled === undefined) button.dataset.wasCalled = label.textContent;
    if (label !== button || button.children.length === 0) {
      label.textContent = done ? "Copied" : "Not copied";
      setTimeout(() => { label.textContent = button.dataset.wasCalled; }, 2000);
    }
    if (!done) toast("The browser does not let pages copy. Select the text, and copy it yourself.", "bad");
    else if (label === button && button.children.length > 0) toast("Copied", "ok");
  }

  // --- clicks ----------------------------------------------------------------------------------------------------------

  document.addEventListener("click", (event) => {
    const on = (selector) => event.target.closest(selector);
    let found;
    if ((found = on("[data-copy], [data-copy-from]"))) copyFor(found);
    if ((found = on("[data-dismiss]"))) found.closest(".toast, .notice").remove();
    if ((found = on("[data-open]"))) document.querySelector(found.dataset.open).showModal();
    if ((found = on("[data-close]"))) found.closest("dialog").close();
    if ((found = on("[data-reload]"))) location.reload();
    if (event.target.matches("dialog") && event.target.open && !inside(event.target, event)) event.target.close();
    for (const menu of document.querySelectorAll("details[data-menu][open]")) {
      if (!menu.contains(event.target) || on(".menu-list a, .menu-list button")) menu.open = false;
    }
  });

  function inside(dialog, event) {
    const box = dialog.getBoundingClientRect();
    const hit = event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
    return hit || event.detail === 0;  // a key that clicks has no place
  }

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details[data-menu][open]")) {
      menu.open = false;
      if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
    }
  });

  document.addEventListener("change", (event) => {
    const reveal = event.target.dataset.reveal;
    if (reveal) document.querySelector(reveal).type = event.target.checked ? "text" : "password";
    if (event.target.closest("[data-themes]")) setTheme(event.target.value);
  });

  // --- colours ---------------------------------------------------------------------------------------------------------

  function setTheme(theme) {
    if (theme) document.documentElement.dataset.theme = theme;
    else delete document.documentElement.dataset.theme;
    try { theme ? localStorage.setItem("headrace.theme", theme) : localStorage.removeItem("headrace.theme"); } catch { /* storage is off */ }
    document.dispatchEvent(new CustomEvent("headrace:theme"));
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new CustomEvent("headrace:theme")));

  for (const choice of document.querySelectorAll("[data-themes] input")) {
    choice.checked = choice.value === (document.documentElement.dataset.theme || "");
  }

  // A token of the style sheet as it is now: color("chart-1"). Listen to `headrace:theme` on document to draw again.
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  // --- htmx ------------------------------------------------------------------------------------------------------------

  const csrf = () => document.querySelector("meta[name=csrf-token]")?.content || "";

  document.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.verb !== "get") event.detail.headers["X-CSRF-Token"] = csrf();
  });
  document.addEventListener("htmx:confirm", async (event) => {
    const asker = event.detail.elt;
    if (asker.dataset.confirm === undefined && !event.detail.question) return;
    event.preventDefault();
    if (await ask(question(asker))) event.detail.issueRequest(true);
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.getResponseHeader("HX-Retarget") === "#toasts") {  // our own words for what went wrong
      event.detail.shouldSwap = true;
      event.detail.isError = false;
    }
  });
  document.addEventListener("htmx:responseError", (event) => {
    if (event.detail.xhr.getResponseHeader("HX-Redirect")) return;
    toast(`The server could not do it (${event.detail.xhr.status}). Try again in a moment.`, "bad");
  });
  document.addEventListener("htmx:sendError", () => toast("The server cannot be reached. Check your connection, then try again.", "bad"));
  document.addEventListener("htmx:timeout", () => toast("That took too long. Try again, or ask for less.", "bad"));
  document.addEventListener("htmx:load", (event) => showTimes(event.detail.elt.parentElement || event.detail.elt));
  document.addEventListener("toast", (event) => toast(event.detail.text, event.detail.kind || ""));  // header HX-Trigger

  const offline = () => { byId("offline").hidden = navigator.onLine; };
  addEventListener("online", offline);
  addEventListener("offline", offline);
  offline();
  showTimes(document);

  return { ago, ask, color, copy, csrf, moment, setTheme, showTimes, toast };
})();
