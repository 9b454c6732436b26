// Predictions, quizzes and exercises of a page ask for an answer, and keep the score in this browser alone.
(function () {
  "use strict";
  const STORE = "mamlbook-answers";
  const element = (name, attributes = {}, ...children) => {
    const made = document.createElement(name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    made.append(...children);
    return made;
  };

  // What was answered, by page and sentence. A browser that keeps nothing has it until the page is left.
  let kept = {};
  const read = () => {
    try { kept = JSON.parse(localStorage.getItem(STORE)) || {}; } catch { /* as it is */ }
  };
  const keep = () => {
    try { localStorage.setItem(STORE, JSON.stringify(kept)); } catch { /* until the page is left */ }
  };
  const answersOf = (page) => kept[page] ||= {};
  const judged = (page) => Object.values(kept[page] || {}).filter((one) => "right" in one);
  const right = (page) => judged(page).filter((one) => one.right).length;
  const sentence = (item) => item.querySelector("summary").textContent.trim();
  const isTrue = (item) => /^\s*true\b/i.test(item.querySelector("summary ~ *").textContent);

  function quiz(section, page, redraw) {
    const items = [...section.querySelectorAll("details.answer")];
    items.forEach((item, place) => {
      const summary = item.querySelector("summary");
      const verdict = element("span", { class: "verdict", role: "status" });
      const choices = [true, false].map((value) => {
        const button = element("button", { type: "button", "aria-pressed": "false" }, value ? "True" : "False");
        button.addEventListener("click", () => {
          answersOf(page)[sentence(item)] = { said: value, right: value === isTrue(item) };
          keep();
          redraw();
          summary.focus({ preventScroll: true });
        });
        return button;
      });
      const row = element("div", { class: "commit", role: "group", "aria-label": `Your answer to sentence ${place + 1}` });
      row.append(...choices, verdict);
      item.after(row);
      // The explanation waits for an answer; whoever opens it again has one.
      summary.addEventListener("click", (event) => {
        if (answersOf(page)[sentence(item)]) return;
        event.preventDefault();
        verdict.textContent = "Decide first: is the sentence true or false?";
        choices[0].focus({ preventScroll: true });
      });
      item.show = () => {
        const own = answersOf(page)[sentence(item)];
        item.open = Boolean(own);
        item.classList.toggle("waiting", !own);
        choices.forEach((button, number) => {
          button.disabled = Boolean(own);
          button.setAttribute("aria-pressed", String(Boolean(own) && own.said === !number));
        });
        verdict.textContent = !own ? "" : own.right ? "\u2713 right" : "\u2717 not so";
      };
    });
    return items;
  }

  // Of several expectations the reader takes one; then all are explained.
  function prediction(section, page, redraw) {
    const items = [...section.querySelectorAll("details.answer")];
    const key = `Predict: ${items.map(sentence).join(" | ")}`;
    items.forEach((item) => {
      const summary = item.querySelector("summary");
      const mark = element("span", { class: "verdict" });
      summary.append(mark);
      summary.addEventListener("click", (event) => {
        if (answersOf(page)[key]) return;
        event.preventDefault();
        answersOf(page)[key] = { said: items.indexOf(item) };
        keep();
        redraw();
      });
      item.show = () => {
        const own = answersOf(page)[key];
        item.open = Boolean(own);
        mark.textContent = own && own.said === items.indexOf(item) ? " \u2190 you expected this" : "";
      };
    });
    return items;
  }

  // Under the cell of an exercise stands a field for its number, which may be tried as often as one likes.
  function exercise(cell, asked, number, page, redraw) {
    const key = `Exercise ${number}: ${asked.claim}`, several = asked.accepts.length;
    const field = element("input", { type: "text", id: `answer-${number}`, autocomplete: "off", autocapitalize: "off", spellcheck: "false" });
    const label = element("label", { for: field.id }, several > 1 ? `Your answer, ${several} numbers with a comma between` : "Your answer");
    const verdict = element("p", { class: "verdict", role: "status" });
    const form = element("form", { class: "judge" }, label, field, element("button", { type: "submit" }, "Check"), verdict);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const found = mamlbookJudge(asked, field.value);
      if (found.read) answersOf(page)[key] = { said: field.value.trim(), right: found.right };
      keep();
      redraw();
      say(found);
    });
    const say = ({ hint, line }) => verdict.replaceChildren(...(hint ? [element("strong", {}, hint), ` ${line}`] : [line]));
    cell.after(form);
    form.show = () => {
      const own = answersOf(page)[key];
      form.open = Boolean(own); // there is something to forget
      if (document.activeElement !== field) field.value = own ? own.said : "";
      if (own) say(mamlbookJudge(asked, own.said));
      else verdict.replaceChildren();
    };
    return form;
  }

  function scores(totals, page) {
    const part = (name) => name.split("/")[0];
    const mates = Object.keys(totals).filter((name) => part(name) === part(page));
    const sum = (values) => values.reduce((one, other) => one + other, 0);
    const chapter = mates.length > 1
      ? ` In this part of the book: ${sum(mates.map(right))} of ${sum(mates.map((name) => totals[name]))}.` : "";
    return `Right on this page: ${right(page)} of ${totals[page]}.${chapter}`;
  }

  function cards(totals) {
    document.querySelectorAll("div.chapter").forEach((card) => {
      const link = card.querySelector("a[href]");
      const page = Object.keys(totals).find((name) => link && link.getAttribute("href").split("#")[0].endsWith(`${name}.html`));
      if (page && judged(page).length) {
        const words = `Right: ${right(page)} of ${totals[page]}`;
        card.append(element("p", { class: "chapter-time chapter-score" }, words));
      }
    });
  }

  function begin() {
    const data = document.getElementById("quizzes");
    if (!data) return;
    const { page, totals, exercises } = JSON.parse(data.textContent);
    read();
    cards(totals);
    const items = [];
    const redraw = () => {
      items.forEach((item) => item.show());
      if (score) score.firstChild.textContent = judged(page).length ? scores(totals, page) : "";
      if (score) score.lastChild.hidden = !items.some((item) => item.open);
    };
    let score = null;
    document.querySelectorAll("div.cell.judged").forEach((cell, place) => {
      items.push(exercise(cell, exercises[place], place + 1, page, redraw));
    });
    document.querySelectorAll("section").forEach((section) => {
      const heading = section.querySelector(":scope > h2");
      const name = heading && heading.firstChild ? heading.firstChild.textContent.trim() : "";
      if (name === "Predict first") items.push(...prediction(section, page, redraw));
      if (name === "Quiz" && totals[page]) {
        items.push(...quiz(section, page, redraw));
        const again = element("button", { type: "button", class: "again" }, "Forget my answers on this page");
        again.addEventListener("click", () => {
          delete kept[page];
          keep();
          redraw();
        });
        score = element("p", { class: "score" }, element("span", { role: "status" }), again);
        section.append(score);
      }
    });
    redraw();
    // Another tab may have answered meanwhile.
    addEventListener("storage", () => {
      read();
      redraw();
    });
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
