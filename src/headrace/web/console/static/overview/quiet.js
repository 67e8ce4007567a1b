// Panels that are asked for again by themselves say in their own place when nothing comes: no message for each try.
(() => {
  "use strict";
  for (const name of ["htmx:sendError", "htmx:responseError", "htmx:timeout"])
    document.body.addEventListener(name, event => {
      if (event.target instanceof Element && event.target.matches("[data-panel]")) event.stopPropagation();
    });
})();
