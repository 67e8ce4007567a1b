// The administration: what was done on the page before is told as a message, and a field that belongs to one choice is
// there with that choice only.
"use strict";

(() => {
  for (const told of document.querySelectorAll("[data-toast]")) {
    headrace.toast(told.dataset.toast, "ok");
    told.remove();
  }

  // On a phone the sections are a row that scrolls.
  document.querySelector(".side [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

  function showFields() {
    for (const field of document.querySelectorAll("[data-only-for]")) {
      field.toggleAttribute("data-shown", document.querySelector(field.dataset.onlyFor).value === field.dataset.onlyValue);
    }
  }

  document.addEventListener("change", showFields);
  document.addEventListener("htmx:load", showFields);
  showFields();
})();
