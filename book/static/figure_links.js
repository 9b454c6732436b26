// A figure as the reader has set it is an address that can be shared: "Copy link" under each interactive figure.
//
// The address holds what differs from how the figure begins: its controls by name, and its state by key. Restoring sets
// the controls first, as a hand would, and then what no control holds, such as points that were dragged.
(function () {
  "use strict";
  const LONGEST = 6000; // characters of one entry, a few drawings; what is longer is computed from the others
  const figures = () => [...document.querySelectorAll("figure.mamlbook-figure[data-mounted]")];
  const controls = (figure) => [...figure.querySelectorAll("input[data-name], select[data-name]")];
  const chosen = (control) => (["checkbox", "radio"].includes(control.type) ? control.checked : control.value);
  const settled = (state) => Object.fromEntries(Object.entries(state).map(([key, value]) => [key, JSON.stringify(value)]));
  const encode = (value) => btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(value)))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const decode = (text) => JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0))));

  // Whether a value from an address can stand where a figure has its own: the same kinds, and only finite numbers.
  function alike(value, own) {
    if (own === null || own === undefined) return value === null || typeof value !== "object" || (Array.isArray(value) && value.every(Number.isFinite));
    if (value === null) return typeof own === "object"; // what is not there yet, or no longer
    if (typeof value !== typeof own || Array.isArray(value) !== Array.isArray(own)) return false;
    if (typeof value === "number") return Number.isFinite(value);
    if (typeof value !== "object") return true;
    if (Array.isArray(value)) return value.every((one) => !own.length || alike(one, own[0]));
    return Object.keys(value).every((key) => key in own && alike(value[key], own[key]));
  }

  const begun = new WeakMap(); // how each figure begins

  function different(figure) {
    const first = begun.get(figure), found = { c: {}, s: {} };
    controls(figure).forEach((control, place) => {
      if (chosen(control) !== first.controls[place]) found.c[place] = chosen(control);
    });
    for (const [key, text] of Object.entries(settled(figure.mamlbook.state))) {
      if (text !== first.state[key] && text !== undefined && text.length < LONGEST) found.s[key] = JSON.parse(text);
    }
    return found;
  }

  function restore(figure, found) {
    const all = controls(figure), { state } = figure.mamlbook;
    for (const [place, value] of Object.entries(found.c)) {
      const control = all[place];
      if (!control || typeof value !== typeof chosen(control)) continue;
      if (typeof value === "boolean") control.checked = value;
      else control.value = value;
      control.dispatchEvent(new Event("input", { bubbles: true }));
      control.dispatchEvent(new Event("change", { bubbles: true }));
    }
    for (const [key, value] of Object.entries(found.s)) {
      if (Object.hasOwn(state, key) && alike(value, state[key])) state[key] = value;
    }
    figure.mamlbook.redraw();
    figure.scrollIntoView({ block: "center" });
  }

  async function copy(figure, button) {
    const address = new URL(location.href);
    address.hash = `figure=${figures().indexOf(figure)}.${encode(different(figure))}`;
    history.replaceState(null, "", address);
    let told = "Link copied";
    try {
      await navigator.clipboard.writeText(address.href);
    } catch {
      told = "The address above is the link";
    }
    button.textContent = told;
    setTimeout(() => { button.textContent = "Copy link"; }, 4000);
  }

  function begin() {
    figures().forEach((figure) => {
      if (!figure.mamlbook || !figure.mamlbook.state || !figure.mamlbook.redraw) return;
      begun.set(figure, { controls: controls(figure).map(chosen), state: settled(figure.mamlbook.state) });
      const button = document.createElement("button");
      button.type = "button";
      button.className = "mb-button";
      button.dataset.name = "link";
      button.textContent = "Copy link";
      button.title = "The address of this figure as it is now";
      button.setAttribute("aria-live", "polite");
      button.addEventListener("click", () => copy(figure, button));
      // Beside what acts, and not in a row of things to choose from.
      const rows = [...figure.querySelectorAll(".mb-live .mb-buttons")];
      const resets = rows.find((one) => [...one.children].some((node) => node.textContent === "Reset"));
      const row = resets || rows.findLast((one) => !one.querySelector("[aria-pressed]")) || figure.querySelector(".mb-live").appendChild(document.createElement("div"));
      row.classList.add("mb-buttons");
      row.append(button);
    });
    const asked = /^#figure=(\d+)\.([\w-]+)$/.exec(location.hash);
    if (!asked) return;
    const figure = figures()[Number(asked[1])];
    try {
      if (figure && begun.has(figure)) restore(figure, decode(asked[2]));
    } catch (error) {
      console.warn("The address holds no state of this figure.", error);
    }
  }

  // Figures draw themselves while the page is read; this comes after them.
  if (document.readyState === "complete") begin();
  else addEventListener("load", begin);
})();
