// Search in the page: words, or an image, through up to three models that `imtext explore` has exported.
// gallery.js and model-*.js fill `imtextExplore`; nothing else is asked for. See imtext/publish/explore.py.
(() => {
  "use strict";
  const { gallery, models } = window.imtextExplore;
  const root = document.getElementById("imtext-explore");
  const SHOWN = { images: 12, captions: 5 }; // of each model
  const STRIDE = 50; // captions embedded at a time while the page is idle

  // ---- words, as imtext.text.tokenize has them

  const LETTER = "[\\p{L}\\p{N}]";
  const WORD = `${LETTER}[\\p{L}\\p{N}\\p{M}\\u200c\\u200d]*`;
  const NUMBER = `\\p{Nd}+(?:[.,]\\p{Nd}+)+(?:${WORD})?`;
  const CLITIC = `'(?:s|re|ve|ll|d|m)(?!${LETTER})|n't(?!${LETTER})`;
  const TOKEN = new RegExp(`${NUMBER}|${CLITIC}|${LETTER}+?(?=n't(?!${LETTER}))|${WORD}`, "gu");

  function tokenize(caption) {
    const text = caption.toLowerCase().normalize("NFC");
    return text.replace(/[\u2019\u2018\u02bc\u00b4`]/g, "'").replaceAll("_", " ").match(TOKEN) ?? [];
  }

  // ---- arrays: 8 bits a number, times one of its row and one of its column

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;

  function unpack({ shape: [rows, columns], values, rows: down, columns: along }) {
    const data = Float32Array.from(new Int8Array(bytes(values)));
    const [ofRow, ofColumn] = [down, along].map((text) => new Float32Array(bytes(text)));
    data.forEach((value, place) => (data[place] = value * ofRow[Math.floor(place / columns)] * ofColumn[place % columns]));
    return { rows, columns, row: (index) => data.subarray(index * columns, (index + 1) * columns) };
  }

  function add(sum, row, weight) {
    for (let place = 0; place < sum.length; place++) sum[place] += weight * row[place];
  }

  function dot(one, other) {
    let sum = 0;
    for (let place = 0; place < one.length; place++) sum += one[place] * other[place];
    return sum;
  }

  function unit(row) {
    const length = Math.sqrt(dot(row, row));
    return row.map((value) => (length > 1e-8 ? value / length : 0));
  }

  // ---- a model: known words to a row, layers, cosine

  for (const model of models) {
    model.column = new Map();
    model.words.forEach((forms, column) => {
      for (const form of forms.split(" ")) model.column.set(form, column);
    });
    model.table = unpack(model.table);
    model.weights = model.weights.map(unpack);
    const images = unpack(model.images);
    model.images = Array.from({ length: images.rows }, (_, index) => unit(images.row(index)));
    model.captions = [];
  }

  function embed(model, tokens) {
    const counts = new Map();
    for (const column of tokens.map((word) => model.column.get(word))) {
      if (column !== undefined) counts.set(column, (counts.get(column) ?? 0) + 1);
    }
    let row = new Float32Array(model.table.columns);
    let total = 0;
    for (const [column, count] of counts) {
      const weight = count * (model.idf ? model.idf[column] : 1);
      total += model.idf ? weight * weight : count;
      add(row, model.table.row(column), weight);
    }
    const size = model.idf ? Math.sqrt(total) : total;
    if (size) row = row.map((value) => value / size);
    if (model.unit) row = unit(row);
    model.biases.forEach((bias, number) => {
      const from = number ? row.map((value) => Math.max(value, 0)) : row;
      const weights = model.weights[number - model.biases.length + model.weights.length];
      row = Float32Array.from(bias);
      if (weights) from.forEach((value, place) => value && add(row, weights.row(place), value));
      else add(row, from, 1); // the table holds the first weights
    });
    return unit(row);
  }

  const tokens = gallery.captions.map(tokenize);
  const knows = (model, words) => words.some((word) => model.column.has(word));

  // Captions are embedded here, not stored: a few at a time while nobody asks for anything.
  function embedUpTo(model, end) {
    for (let place = model.captions.length; place < end; place++) model.captions.push(embed(model, tokens[place]));
  }

  function embedIdly() {
    const model = models.find((one) => one.captions.length < tokens.length);
    if (!model) return;
    embedUpTo(model, Math.min(model.captions.length + STRIDE, tokens.length));
    setTimeout(embedIdly, 20);
  }

  // Indices of all rows, best first, ties by index, and their cosines with a query.
  function ranked(rows, query) {
    const scores = rows.map((row) => dot(row, query));
    return { scores, order: [...scores.keys()].sort((one, other) => scores[other] - scores[one] || one - other) };
  }

  // By how much the cosine falls when a word is left out; null for a word that the model does not know.
  function contributions(model, words, image) {
    const whole = dot(embed(model, words), image);
    const without = (left) => words.filter((_, place) => place !== left);
    const fall = (left) => (knows(model, without(left)) ? whole - dot(embed(model, without(left)), image) : whole);
    return words.map((word, place) => (model.column.has(word) ? fall(place) : null));
  }

  // ---- what the reader sees

  function make(tag, properties = {}, ...children) {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  }

  const ofImage = gallery.group.map(() => []);
  gallery.owner.forEach((image, caption) => ofImage[image].push(caption));
  const sameGroup = (image, other) => gallery.group[image] === gallery.group[other];
  const shown = (value) => (value <= -0.005 ? "−" : "") + Math.abs(value).toFixed(2).replace(/^0/, "");
  const named = (image) => `image ${image + 1}: ${gallery.captions[ofImage[image][0]]}`;

  function picture(image) {
    const part = (place, count) => `${count > 1 ? (100 * place) / (count - 1) : 0}%`;
    const columns = Math.ceil(Math.sqrt(gallery.group.length));
    const rows = Math.ceil(gallery.group.length / columns);
    const node = make("span", { className: "picture" });
    node.style.backgroundSize = `${100 * columns}% ${100 * rows}%`;
    node.style.backgroundPosition = `${part(image % columns, columns)} ${part(Math.floor(image / columns), rows)}`;
    return node;
  }

  function tile(image, label, ...below) {
    const node = make("button", { type: "button", className: "tile", title: named(image) }, picture(image), ...below);
    node.ariaLabel = label;
    return node;
  }

  const right = () => [make("span", { className: "sign" }, "✓ right"), " "];

  // The best of a ranking as places, and the first right one where it comes later.
  function places(order, isRight, count) {
    const first = order.findIndex(isRight);
    return { first, list: [...Array(Math.min(count, order.length)).keys(), ...(first >= count ? [first] : [])] };
  }

  function chips(model, words, image) {
    const worth = contributions(model, words, image);
    const most = Math.max(...worth.map(Math.abs), 1e-9);
    const list = words.map((word, place) => {
      const value = worth[place];
      const note = make("span", { className: "spoken" }, ", which the model does not know");
      if (value === null) return make("li", { className: "unknown", title: "not known to this model" }, word, note);
      const chip = make("li", { className: value < 0 ? "down" : "up" }, word, " ", make("small", {}, shown(value)));
      chip.style.setProperty("--share", `${Math.round((45 * Math.abs(value)) / most)}%`);
      return chip;
    });
    return make("ul", { className: "chips", ariaLabel: "what each word adds to the cosine" }, ...list);
  }

  const field = make("input", { id: "explore-words", type: "search", autocomplete: "off", spellcheck: false });
  const another = make("button", { type: "button" }, "Another example");
  const asked = make("div", { className: "asked", tabIndex: -1 });
  const said = make("p", { className: "spoken" });
  said.role = "status";
  const answers = make("div", { className: "answers" });
  const strip = make("div", { className: "strip", ariaLabel: "images of the gallery; arrow keys move" });
  strip.role = "group";

  let telling;
  function tell(text) {
    clearTimeout(telling); // else a screen reader would speak at every letter
    telling = setTimeout(() => (said.textContent = text), 500);
  }

  function column(model, ...parts) {
    const head = make("h2", {}, model.name);
    return make("section", { ariaLabel: model.name }, head, make("p", { className: "about" }, model.about), ...parts);
  }

  function searchWords() {
    const words = tokenize(field.value);
    const same = words.join(" ");
    const of = gallery.owner.filter((_, caption) => words.length && tokens[caption].join(" ") === same);
    const isRight = (image) => of.some((other) => sameGroup(image, other));
    const news = [];
    asked.replaceChildren();
    if (of.length) asked.append(`This is a caption of ${[...new Set(of)].map((image) => `image ${image + 1}`).join(", ")}.`);
    else if (!words.length) asked.append("Type a caption, or pick an image below.");
    else asked.append("No image is known to be right for a text of your own.");
    answers.replaceChildren(...models.map((model) => {
      if (!words.length) return column(model);
      if (!knows(model, words)) return column(model, make("p", {}, "This model knows none of these words."));
      const { scores, order } = ranked(model.images, embed(model, words));
      const { first, list } = places(order, isRight, SHOWN.images);
      const items = list.map((place) => {
        const image = order[place];
        const sign = isRight(image) ? "right, " : "";
        const label = `number ${place + 1}, cosine ${shown(scores[image])}, ${sign}${named(image)}`;
        const late = place < SHOWN.images ? "" : `${place + 1}: `;
        const node = tile(image, label, late, ...(sign ? right() : []), shown(scores[image]));
        node.addEventListener("click", () => pick(image, true));
        return make("li", { className: sign ? "right" : "" }, node);
      });
      const found = first < 0 ? "" : `The right image is number ${first + 1} of ${order.length}.`;
      news.push(`${model.name}: ${found || `the first image is ${named(order[0])}.`}`);
      const adds = make("p", { className: "about" }, "What each word adds to the first image's cosine:");
      const worth = chips(model, words, model.images[order[0]]);
      const images = make("ol", { className: "images" }, ...items);
      return column(model, make("p", { className: "rank" }, found), images, adds, worth);
    }));
    tell(news.join(" "));
  }

  function pick(image, move = false) {
    field.value = "";
    for (const node of strip.children) node.ariaPressed = String(node === strip.children[image]);
    const own = ofImage[image].map((caption) => make("li", {}, sayIt(caption)));
    const about = make("div", {}, `Image ${image + 1} and its captions:`, make("ul", {}, ...own));
    asked.replaceChildren(picture(image), about);
    const news = [];
    answers.replaceChildren(...models.map((model) => {
      embedUpTo(model, tokens.length);
      const { scores, order } = ranked(model.captions, model.images[image]);
      const isRight = (caption) => sameGroup(gallery.owner[caption], image);
      const { first, list } = places(order, isRight, SHOWN.captions);
      const items = list.map((place) => {
        const caption = order[place];
        const sign = isRight(caption) ? right() : [];
        const late = place < SHOWN.captions ? "" : `${place + 1}: `;
        const score = make("span", { className: "score" }, late, ...sign, shown(scores[caption]));
        const words = chips(model, tokens[caption], model.images[image]);
        return make("li", { className: sign.length ? "right" : "" }, sayIt(caption), " ", score, words);
      });
      const found = `The first right caption is number ${first + 1} of ${order.length}.`;
      news.push(`${model.name}: ${found}`);
      return column(model, make("p", { className: "rank" }, found), make("ol", { className: "captions" }, ...items));
    }));
    if (move) asked.focus();
    tell(`Image ${image + 1}. ${news.join(" ")}`);
  }

  // A caption that becomes the query when it is pressed.
  function sayIt(caption) {
    const node = make("button", { type: "button", className: "caption" }, gallery.captions[caption]);
    node.addEventListener("click", () => {
      field.value = gallery.captions[caption];
      searchWords();
      field.focus();
    });
    return node;
  }

  gallery.group.forEach((_, image) => {
    const node = tile(image, named(image));
    node.tabIndex = image ? -1 : 0; // one stop of the tab key; arrows move within
    node.addEventListener("click", () => pick(image));
    strip.append(node);
  });

  strip.addEventListener("keydown", (event) => {
    const nodes = [...strip.children];
    const perRow = nodes.filter((node) => node.offsetTop === nodes[0].offsetTop).length;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: perRow, ArrowUp: -perRow, Home: -Infinity, End: Infinity };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const place = nodes.indexOf(document.activeElement) + steps[event.key];
    nodes[Math.max(0, Math.min(nodes.length - 1, place))].focus();
  });
  strip.addEventListener("focusin", (event) => {
    for (const node of strip.children) node.tabIndex = node === event.target ? 0 : -1;
  });

  let example = 0;
  function nextExample() {
    field.value = gallery.captions[ofImage[(example * 7) % gallery.group.length][0]];
    example += 1;
    searchWords();
  }

  field.addEventListener("input", searchWords);
  another.addEventListener("click", nextExample);
  const form = make("form", {}, make("label", { htmlFor: field.id }, "Words"), field, another);
  form.role = "search";
  form.addEventListener("submit", (event) => event.preventDefault());
  const pickHead = make("h2", {}, "Or pick an image");
  root.replaceChildren(form, asked, said, answers, pickHead, strip, make("p", { className: "about" }, gallery.about));
  nextExample();
  setTimeout(embedIdly, 200);
  window.imtextExplore.tokenize = tokenize; // for tests, which compare it with the library's
})();
