// A new server: the command to copy has the address by which this page was reached.
"use strict";
for (const place of document.querySelectorAll("[data-origin]")) place.textContent = location.origin;
