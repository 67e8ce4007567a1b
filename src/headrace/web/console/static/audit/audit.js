// The audit page: days of the viewer's zone above the sentences, and a filter that is out of the way on a phone.
"use strict";
(() => {
  const trail = document.getElementById("audit-trail");
  const day = new Intl.DateTimeFormat(undefined, { dateStyle: "full" });

  function group() {
    for (const heading of trail.querySelectorAll("[data-day]")) heading.remove();
    let last = "";
    for (const entry of trail.querySelectorAll(".audit-entry")) {
      const name = day.format(new Date(entry.querySelector(".audit-meta time").dateTime));
      if (name !== last) {
        const heading = document.createElement("li");
        heading.className = "audit-day";
        heading.dataset.day = "";
        heading.append(Object.assign(document.createElement("h2"), { textContent: name }));
        entry.before(heading);
      }
      last = name;
    }
  }

  if (trail) {
    group();
    document.body.addEventListener("htmx:afterSettle", group);
  }
  const filters = document.querySelector("[data-audit-filters]");
  if (matchMedia("(max-width: 44rem)").matches && filters.dataset.used === undefined) filters.open = false;
  filters.dataset.ready = "";  // until then the style sheet keeps it closed on a phone: nothing jumps
  filters.closest("form").addEventListener("formdata", ({ formData }) => {
    for (const [name, value] of [...formData]) if (!value) formData.delete(name);  // links that people share stay short
  });
  const bucket = document.getElementById("audit-bucket");
  bucket.addEventListener("change", () => bucket.form.submit());
})();
