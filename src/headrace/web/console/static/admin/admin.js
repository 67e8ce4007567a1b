// The administration: what was done on the page before is told as a message.
"use strict";

for (const told of document.querySelectorAll("[data-toast]")) {
  headrace.toast(told.dataset.toast, "ok");
  told.remove();
}
