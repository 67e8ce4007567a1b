// The pages of tasks: what is chosen in the list stays chosen while it is refreshed, rows stay under the hand, and a new
// state is told to those who cannot see it.
"use strict";
(() => {
  const one = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const list = () => one("[data-task-list]");

  // --- choosing -------------------------------------------------------------------------------------------------------

  const chosen = () => all("[data-choose]:checked").map((box) => box.value);

  function count() {
    const boxes = all("[data-choose]"), number = chosen().length;
    for (const label of all("[data-chosen]")) label.textContent = number ? ` ${number}` : "";
    const choose = one("[data-choose-all]");
    if (!choose) return;
    choose.checked = number > 0 && number === boxes.length;
    choose.indeterminate = number > 0 && number < boxes.length;
  }

  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-choose-all]")) for (const box of all("[data-choose]")) box.checked = event.target.checked;
    if (event.target.matches("[data-choose], [data-choose-all]")) count();
  });

  // --- refreshing -----------------------------------------------------------------------------------------------------

  /** Whether rows that move would be in somebody's way. */
  const held = () => chosen().length > 0 || list().matches(":hover") || list().contains(document.activeElement);

  let kept = [], wasOpen = false;

  document.addEventListener("htmx:beforeRequest", (event) => {
    const target = event.target;
    if (!(target instanceof Element) || !target.matches("[data-panel]")) return;
    if (document.hidden || one("#confirm").open) event.preventDefault();
  });
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.target !== list() || !held()) return;
    const first = one("[data-task]");
    if (first) event.detail.parameters.from = first.dataset.task;
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.target instanceof Element && event.target.matches("[data-reloads]") && event.detail.xhr.status === 200) location.reload();
    if (event.target !== list()) return;
    kept = chosen();
    wasOpen = one("#bulk-all")?.open;
  });
  document.addEventListener("htmx:afterSettle", () => {
    for (const box of all("[data-choose]")) if (kept.includes(box.value)) box.checked = true;
    const menu = one("#bulk-all");
    if (menu && wasOpen) menu.open = true;
    kept = [];
    wasOpen = false;
    ready();
  });

  // --- one task -------------------------------------------------------------------------------------------------------

  let told = one("[data-told]")?.dataset.told;

  function tell() {
    const task = one("[data-told]"), place = one("#task-told");
    if (!task || !place || task.dataset.told === told) return;
    told = task.dataset.told;
    place.textContent = `The task is ${told} now.`;
    document.title = document.title.replace(/: \w+ · /, `: ${told} · `);
  }

  function ready() {
    for (const part of all(".with-scripts")) part.dataset.ready = "";
    count();
    tell();
  }

  const folds = one("[data-folds]");
  if (folds) {
    if (matchMedia("(max-width: 44rem)").matches && folds.dataset.used === undefined) folds.open = false;
    folds.dataset.ready = "";
    folds.closest("form").addEventListener("formdata", ({ formData }) => {
      const used = [...formData].filter(([, value]) => value);
      for (const name of new Set(formData.keys())) formData.delete(name);
      for (const [name, value] of used) formData.append(name, value);  // addresses that people share stay short
    });
  }
  ready();
})();
