// The search of the site as a reader types: without regard to case, signs and endings, with a letter wrong, a space too
// few or a word too many. It weighs a page by how often it speaks of a word, and puts the section of a name first.
//
// Sphinx finds pages that have every word, in the order of the alphabet. What it knows of objects is kept, below.
(function () {
  "use strict";
  const place = document.getElementById("search-words");
  if (!place || typeof Search === "undefined") return;
  const { pages, lengths, counts, forms, names } = JSON.parse(place.textContent);
  const IDLE = new Set("a an and are as at by can do does for from get has have how i in into is it many much my not of on or should the to use used using versus vs what when where which who why will with without you your".split(" "));
  const REFERENCE = /\/appendix\/(api|bibliography|glossary|notation|reproducibility)$/; // looked up, not read
  const STEMMER = new Stemmer();
  const mean = lengths.reduce((one, other) => one + other, 0) / lengths.length;
  const plain = (text) => text.normalize("NFKD").toLowerCase().replace(/[^\p{L}\p{N}+]/gu, "");
  const known = new Map(Object.entries(names).map(([name, section]) => [plain(name), [name, section]]));
  const tokens = (text) => (text.normalize("NFC").toLowerCase().match(/[\p{L}\p{N}_]+/gu) || []).filter((word) => !IDLE.has(word));
  const stem = (word) => STEMMER.stemWord(word);

  // How many letters have to be added, left out, changed or exchanged with their neighbour; more than `most` is as far.
  function distance(one, other, most) {
    if (Math.abs(one.length - other.length) > most) return most + 1;
    const rows = [Array.from({ length: other.length + 1 }, (_, j) => j)];
    for (let i = 1; i <= one.length; i++) {
      rows[i] = [i];
      for (let j = 1; j <= other.length; j++) {
        const same = one[i - 1] === other[j - 1] ? 0 : 1;
        rows[i][j] = Math.min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + same);
        if (i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]) rows[i][j] = Math.min(rows[i][j], rows[i - 2][j - 2] + 1);
      }
    }
    return rows[one.length][other.length];
  }

  const slack = (word) => (word.length < 5 ? 0 : word.length < 9 ? 1 : 2);
  const total = (word) => Object.values(counts[word]).reduce((one, other) => one + other, 0);

  // The known word or name that is nearest, of several the most frequent one.
  function nearest(word, all, weight) {
    let best = null, least = slack(word) + 1;
    for (const other of all) {
      const far = distance(word, other, slack(word));
      if (far < least || (far === least && best && weight(other) > weight(best))) { best = other; least = far; }
    }
    return least <= slack(word) ? best : null;
  }

  // A word that no page has, as words that some page has.
  function mended(word) {
    for (let cut = 3; cut <= word.length - 3; cut++) {
      const halves = [word.slice(0, cut), word.slice(cut)];
      if (halves.every((half) => counts[stem(half)])) return halves;
    }
    const other = nearest(stem(word), Object.keys(counts), total);
    return other ? [other] : null;
  }

  function nameOf(query) {
    const key = plain(query);
    for (const form of [key, key.replace(/s$/, ""), `${key}s`]) if (known.has(form)) return known.get(form);
    const close = Object.keys(counts).includes(stem(query.toLowerCase().trim())) ? null : nearest(key, known.keys(), () => 0);
    return close ? known.get(close) : null;
  }

  // The section of a page whose heading has all the words, and how much of the heading they are.
  function section(page, wanted) {
    let best = ["", 0];
    for (const [title, found] of Object.entries(Search._index.alltitles)) {
      const own = tokens(title).map(stem);
      const part = wanted.filter((word) => own.includes(word)).length;
      for (const [file, id] of found) {
        if (Search._index.docnames[file] !== page || part < wanted.length) continue;
        if (part / own.length > best[1]) best = [id === null ? "" : `#${id}`, part / own.length];
      }
    }
    return best;
  }

  function tell(words) {
    const results = document.getElementById("search-results");
    const line = document.createElement("p");
    line.setAttribute("role", "status");
    line.className = "search-mended";
    line.textContent = `No page has the words as they were typed. These are the results for \u201c${words}\u201d.`;
    results.prepend(line);
  }

  // ---- what is shown of a page: its prose, from the sentence that has most of the words ------------------------------

  const LENGTH = 240; // letters
  const UNREAD = "script, style, pre, table, .headerlink, .cell, div.math, .at-a-glance, .mamlbook-figure, .prev-next-footer";
  const GREEK = { alpha: "α", beta: "β", gamma: "γ", delta: "δ", epsilon: "ε", theta: "θ", kappa: "κ", lambda: "λ", mu: "μ", nu: "ν", pi: "π", rho: "ρ", sigma: "σ", tau: "τ", phi: "φ", psi: "ψ", omega: "ω", nabla: "∇", cdot: "·", le: "≤", ge: "≥", to: "→" };

  // A formula as letters; one that is more than letters is left out.
  function spoken(tex) {
    const text = tex.replace(/^\\\(|\\\)$/g, "").replace(/\\([a-z]+) ?/g, (all, name) => GREEK[name] || all);
    return /[\\_^&]/.test(text) ? "…" : text.replace(/[{}]/g, "");
  }

  Search.htmlToText = function (source, anchor) {
    const page = new DOMParser().parseFromString(source, "text/html");
    const named = anchor ? page.getElementById(decodeURIComponent(anchor.slice(1))) : null;
    const place = (named && named.tagName === "DT" ? named.nextElementSibling : named) || page.querySelector(".bd-article");
    if (!place) return "";
    place.querySelectorAll(UNREAD).forEach((node) => node.remove());
    place.querySelectorAll("span.math").forEach((node) => { node.textContent = spoken(node.textContent); });
    return [...place.querySelectorAll("p, li, dd")].map((node) => node.textContent.trim()).join(" ").replace(/\s+/g, " ");
  };

  Search.makeSearchSummary = function (source, keywords, anchor) {
    const sentences = Search.htmlToText(source, anchor).split(/(?<=[.?!])\s+/);
    const has = (sentence) => [...keywords].filter((word) => sentence.toLowerCase().includes(word.toLowerCase())).length;
    const most = Math.max(...sentences.map(has));
    const text = sentences.slice(sentences.findIndex((sentence) => has(sentence) === most)).join(" ");
    if (!text) return null;
    const summary = document.createElement("p");
    summary.className = "context";
    summary.textContent = text.length > LENGTH ? `${text.slice(0, text.lastIndexOf(" ", LENGTH))} …` : text;
    return summary;
  };

  // ---- what is found -------------------------------------------------------------------------------------------------

  const theirs = Search._performSearch;
  Search._performSearch = function (query, searchTerms, excludedTerms, highlightTerms, objectTerms) {
    const objects = theirs(query, searchTerms, excludedTerms, highlightTerms, objectTerms).filter((item) => item[3] !== null);
    const index = Search._index, named = nameOf(query);
    const typed = tokens(query.replace(/(^|\s)-\S+/g, " ")); // a word after a minus is not wanted
    let changed = false;
    const wanted = typed.flatMap((word) => {
      if (counts[stem(word)]) return [stem(word)];
      const other = mended(word);
      changed ||= Boolean(other);
      return (other || []).map(stem);
    });
    for (const word of wanted.filter((one) => one.length > 1)) [searchTerms, highlightTerms].forEach((terms) => terms.add(word));
    const scores = new Map();
    pages.forEach((page, number) => {
      if ([...excludedTerms].some((word) => number in (counts[word] || {}))) return;
      let score = 0, all = true;
      for (const word of new Set(wanted)) {
        const here = counts[word] || {}, times = here[number] || 0;
        const rare = Math.log(1 + pages.length / (1 + Object.keys(here).length));
        all &&= times > 0;
        score += (rare * times) / (times + 0.6 + 0.6 * (lengths[number] / mean));
      }
      if (!score) return;
      const [anchor, part] = section(page, wanted);
      const title = tokens(index.titles[index.docnames.indexOf(page)]).map(stem);
      const titled = wanted.length && wanted.every((word) => title.includes(word)) ? 4 : 0;
      scores.set(page, [(score * (all ? 2 : 1) + 2 * part + titled) * (REFERENCE.test(`/${page}`) ? 0.5 : 1), anchor]);
    });
    if (named) scores.set(named[1][0], [1e6, `#${named[1][1]}`]);
    if (!named && changed) tell(wanted.map((word) => forms[word] || word).join(" "));
    const found = [...scores].map(([page, [score, anchor]]) => {
      const file = index.docnames.indexOf(page);
      return [page, index.titles[file], anchor, null, score, index.filenames[file]];
    });
    found.sort((one, other) => one[4] - other[4]);
    return [...objects, ...found.slice(-20)]; // the last is shown first
  };
})();
