// The pages that links in mail lead to (pages/links.py): take the token out of the address bar, and post it when the button is pressed.
"use strict";

const PAGES = {
  "verify": {
    call: "/v1/auth/verify",
    done: ["Your address is confirmed", "You can sign in now."],
    again: "Try to sign in: if you confirmed it before, it is done. Otherwise register once more, and a new mail comes.",
  },
  "reset-password": {
    call: "/v1/auth/password-reset/confirm",
    done: ["Your password is set", "You can sign in with it now. All earlier sessions have ended."],
    again: "Ask for a new link where you sign in, and use the newest mail: each one replaces those before.",
  },
  "set-up": {
    call: "/v1/auth/password-reset/confirm",
    done: ["Your account is ready", "You can sign in with your new password now."],
    again: "If you chose a password before, sign in with it. Otherwise ask your administrator for a new link.",
  },
};

const byId = (id) => document.getElementById(id);
const page = PAGES[byId("link").dataset.page];
const token = new URLSearchParams(location.search).get("token");
const password = byId("password");
const send = byId("send");
const label = send.textContent;

// Nobody who looks at the screen, the history or a bookmark should find the token there.
history.replaceState(null, "", location.pathname);

function tell(kind, title, text) {
  const heading = document.createElement("h2");
  const paragraph = document.createElement("p");
  heading.textContent = title;
  paragraph.textContent = text;
  byId("said").replaceChildren(heading, paragraph);
  byId("told").className = `notice ${kind}`;
  byId("told").focus();
}

function finish(kind, title, text) {
  byId("ask").hidden = true;
  byId("onward").hidden = false;
  tell(kind, title, text);
}

// The sentence beside the field: what is wrong with it, or nothing.
function refuse(text) {
  byId("wrong").textContent = text;
  byId("wrong").hidden = text === "";
  password.setAttribute("aria-invalid", text === "" ? "false" : "true");
  if (text !== "") password.focus();
}

function work(working) {
  send.disabled = working;
  send.textContent = working ? "One moment…" : label;
  byId("form").setAttribute("aria-busy", String(working));
}

async function post() {
  const body = password === null ? { token } : { token, password: password.value };
  return fetch(page.call, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    credentials: "omit",
    signal: AbortSignal.timeout(30000),
  });
}

async function show(answer) {
  if (answer.ok) return finish("ok", ...page.done);
  const problem = await answer.json().catch(() => ({}));
  if (answer.status === 410) return finish("bad", "This link is used up or has expired", page.again);
  const reasons = problem.errors || [];
  if (answer.status === 422 && password !== null && reasons.some((reason) => reason.field === "password")) {
    return refuse(reasons.filter((reason) => reason.field === "password").map((reason) => sentence(reason.detail)).join(" "));
  }
  if (answer.status === 422) return finish("bad", "This link is not complete", "Copy the whole link from the mail, and open it again.");
  if (answer.status === 429) return tell("bad", "Too many tries", wait(answer));
  return tell("bad", "That did not work", `${problem.detail || "The server could not do it."} Try again in a moment.`);
}

function wait(answer) {
  const minutes = Math.ceil(Number(answer.headers.get("retry-after") || 60) / 60);
  return `Wait ${minutes === 1 ? "a minute" : `${minutes} minutes`}, then press the button again.`;
}

function sentence(text) {
  const trimmed = text.trim();
  return trimmed.charAt(0).toUpperCase() + trimmed.slice(1) + (/[.!?]$/.test(trimmed) ? "" : ".");
}

byId("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (password !== null) {
    refuse("");
    if (password.value === "") return refuse("Choose a password first.");
  }
  byId("said").replaceChildren();
  byId("told").className = "";
  work(true);
  try {
    await show(await post());
  } catch {
    tell("bad", "The server cannot be reached", "Check your connection, then press the button again. Your link is still good.");
  } finally {
    work(false);
  }
});


if (!token) finish("bad", "This link is not complete", "Open the link in the mail once more, or copy the whole of it into the address bar.");
else byId("form").dataset.ready = "";
