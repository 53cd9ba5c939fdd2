// Runs in the head, before gradio does: the first paint is in the right language and theme.
(() => {
  const LANGUAGES = { en: "en", zh: "zh-CN" };
  const own = Object.getOwnPropertyDescriptor(Navigator.prototype, "language").get.call(navigator) || "en";
  const stored = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
  const store = (key, value) => { try { localStorage.setItem(key, value); } catch { /* private window */ } };
  const asked = new URLSearchParams(location.search).get("lang");
  const first = [asked, stored("playground-language"), own.slice(0, 2).toLowerCase()].find((code) => Object.hasOwn(LANGUAGES, code));
  let current = first || "en";

  // gradio's own words and gr.I18n follow navigator.language.
  Object.defineProperty(navigator, "language", { get: () => LANGUAGES[current], configurable: true });

  const mark = () => {
    document.documentElement.dataset.language = current;
    document.documentElement.lang = LANGUAGES[current];
    const title = document.querySelector(".pg-header h1");
    if (title && title.innerText) document.title = title.innerText;
    document.cookie = `playground-language=${current}; path=/; max-age=31536000; SameSite=Lax`;
    document.querySelectorAll("[data-language-button]").forEach((button) =>
      button.setAttribute("aria-pressed", String(button.dataset.languageButton === current)));
  };

  // gradio translates the names of tabs and the words of a box for files once, when it first makes them, and
  // makes them anew from those: of a section that is opened, of a tab that moves into the menu or out of it.
  const NAMED = '#pg-tabs > .tab-wrapper, .pg-sections > .tab-wrapper, [data-testid="upload-text"], .toast-title';
  const ABOUT = `${NAMED}, [data-tab-titles], input[data-zh]`;
  const rename = () => {
    const titles = [...document.querySelectorAll("[data-tab-titles]")].flatMap((one) => JSON.parse(one.dataset.tabTitles));
    document.querySelectorAll(NAMED).forEach((bar) => {
      const walker = document.createTreeWalker(bar, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) {
        const node = walker.currentNode, name = node.data.trim();
        const title = titles.find((one) => Object.values(one).includes(name));
        if (title && title[current] !== name) node.data = node.data.replace(name, title[current]);
      }
    });
    document.querySelectorAll("input[data-zh]").forEach((box) => { box.placeholder = box.dataset[current]; });
  };
  const fresh = ({ target, addedNodes }) => (target.parentElement && target.parentElement.closest(NAMED))
    || [...addedNodes].some((node) => node.nodeType === 1 && (node.matches(ABOUT) || node.querySelector(ABOUT)));
  const names = new MutationObserver((records) => { // before it is painted; nothing for what only streams
    if (!records.some(fresh)) return;
    rename();
    names.takeRecords(); // its own
  });

  const language = async (code) => {
    if (!Object.hasOwn(LANGUAGES, code)) return;
    current = code;
    store("playground-language", code);
    mark();
    try { // gradio's switch, from the module that is already loaded
      const loaded = performance.getEntriesByType("resource").map((entry) => entry.name);
      const core = await import(loaded.find((name) => /\/assets\/core-[^/]+\.js/.test(name)));
      core.changeLocale(LANGUAGES[code]);
      rename();
      window.dispatchEvent(new Event("resize")); // names are of another length: gradio looks which tabs fit
    } catch {
      location.reload();
    }
  };

  const theme = () => {
    const dark = document.body.classList.toggle("dark");
    store("playground-theme", dark ? "dark" : "light");
  };

  const press = (selector) => { // of several, the one in the same part of the page as the focus
    const there = [...document.querySelectorAll(selector)]
      .map((found) => (found.matches("button") ? found : found.querySelector("button")))
      .filter((found) => found && found.offsetParent !== null && !found.disabled);
    let part = document.activeElement;
    while (part && !there.some((found) => part.contains(found))) part = part.parentElement;
    const button = there.find((found) => !part || part.contains(found));
    if (button) button.click();
    return Boolean(button);
  };

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      if (document.activeElement) document.activeElement.dispatchEvent(new Event("change", { bubbles: true }));
      if (press(".pg-run")) event.preventDefault();
    } else if (event.key === "Escape" && !event.target.closest?.('[aria-expanded="true"], input[type="search"]')) {
      press(".pg-stop"); // an open list is closed by gradio, and nothing else is
    }
  }, true);

  // A screen reader is told that something runs and how it ended, and not every per cent of the way.
  const states = new WeakMap();
  let waiting = 0;
  const say = () => {
    waiting = 0;
    document.querySelectorAll(".pg-status > .pg-chip:not(.pg-idle, .pg-ready)").forEach((chip) => {
      const panel = chip.closest("[id]");
      if (states.get(panel) === chip.className || chip.offsetParent === null) return; // known, or not in sight
      states.set(panel, chip.className);
      if (!navigator.userActivation?.hasBeenActive) return; // what a page shows at first nobody asked for
      const line = chip.matches(".pg-running") ? chip : chip.parentElement;
      document.getElementById("pg-said").textContent = line.innerText.replace(/\s+/g, " ");
    });
  };
  const listening = new MutationObserver(() => { waiting ||= setTimeout(say, 300); });

  mark();
  document.addEventListener("DOMContentLoaded", () => {
    const wanted = stored("playground-theme");
    if (wanted && !new URLSearchParams(location.search).has("__theme")) {
      const apply = () => document.body.classList.toggle("dark", wanted === "dark");
      apply();
      setTimeout(apply, 600); // gradio sets the system's theme while it mounts
    }
    new MutationObserver((_, observer) => {
      if (document.querySelector("[data-language-button]")) { mark(); observer.disconnect(); }
    }).observe(document.body, { childList: true, subtree: true });
    names.observe(document.body, { childList: true, characterData: true, subtree: true });
    listening.observe(document.body, { childList: true, subtree: true });
  });

  // A film: the frames are one tall picture, --frame says which one is seen.
  const scrub = (slider) => {
    const panel = slider.closest(".pg-film");
    panel.querySelector(".pg-screen").style.setProperty("--frame", slider.value);
    panel.querySelector("output").textContent = slider.dataset.steps.split(",")[slider.value];
  };
  const play = (button) => {
    const slider = button.parentElement.querySelector("input");
    let frame = 0;
    clearInterval(Number(button.dataset.timer));
    button.dataset.timer = setInterval(() => {
      slider.value = frame;
      scrub(slider);
      if (++frame > Number(slider.max) || !button.isConnected) clearInterval(Number(button.dataset.timer));
    }, Math.max(40, 3000 / (Number(slider.max) + 1)));
  };

  window.playground = { language, theme, scrub, play };
})();
