// What makes the pages quicker to use. None of it is needed: without it every search
// is a form, every countdown a time in words, every copy a selection.
"use strict";
(() => {
  htmx.config.allowEval = false;
  htmx.config.includeIndicatorStyles = false;
  htmx.config.selfRequestsOnly = true;

  // Times are told in the viewer's zone; the server knows only UTC.
  const localTimes = (root) => {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const moment = new Date(time.dateTime);
      if (!time.title && !Number.isNaN(moment.getTime())) {
        time.title = moment.toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "long" });
      }
    }
  };

  // <time data-ends datetime="..."> counts down, within what was said in words.
  const countdowns = () => {
    for (const time of document.querySelectorAll("time[data-ends]")) {
      const left = Math.max(0, Math.floor((new Date(time.dateTime) - Date.now()) / 1000));
      if (Number.isNaN(left)) continue;
      const [h, m, s] = [Math.floor(left / 3600), Math.floor(left / 60) % 60, left % 60];
      const two = (n) => String(n).padStart(2, "0");
      time.textContent = h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
    }
  };

  // A button with data-copy="id" copies that element's value or text.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    await navigator.clipboard.writeText(source.value ?? source.textContent);
    const label = button.textContent;
    button.textContent = button.dataset.copied || "✓";
    setTimeout(() => (button.textContent = label), 2000);
  });

  // "/" goes to the search, Esc closes what can be closed.
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, select, textarea, [contenteditable]");
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const search = document.querySelector("main input[type=search]");
      if (search) {
        event.preventDefault();
        search.focus();
        search.select();
      }
    }
    // Each page says its own keys: data-key on what they press.
    if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey && /^[a-z]$/.test(event.key)) {
      document.querySelector(`main [data-key="${event.key}"]`)?.click();
    }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.form) event.target.form.requestSubmit();
    if (event.key === "Escape") document.querySelector("main a[data-close]")?.click();
  });

  // A select with data-submit sends its form.
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
  });

  // What refreshes itself rests while nobody looks, or somebody is about to press.
  document.addEventListener("htmx:confirm", (event) => {
    const trigger = event.target.getAttribute?.("hx-trigger") || "";
    if (trigger.includes("every") && (document.hidden || event.target.contains(document.activeElement))) event.preventDefault();
  });

  document.addEventListener("htmx:afterSwap", (event) => {
    localTimes(event.target);
    countdowns();
  });
  document.documentElement.classList.add("scripted");
  localTimes(document);
  countdowns();
  setInterval(countdowns, 1000);
})();
