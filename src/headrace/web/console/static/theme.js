// Before anything is painted: the colours that this browser's owner chose. Without a choice the system's count.
"use strict";
try {
  const theme = localStorage.getItem("headrace.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch { /* storage is off */ }
