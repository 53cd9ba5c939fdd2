// The Train tab's coach: the component's value is JSON. An advice keeps its elements for as long as it is given,
// so that neither a button under the pointer nor the focus is lost while its numbers move.
const $ = (name) => element.querySelector(name);
const cards = new Map();
const put = (node, text) => { if (node.dataset.text !== text) { node.dataset.text = text; node.innerHTML = text; } };
const card = (key) => {
  if (!cards.has(key)) {
    const made = document.createElement("article");
    made.innerHTML = '<div></div><ul></ul><button type="button"></button>';
    made.querySelector("button").dataset.key = key;
    cards.set(key, made);
  }
  return cards.get(key);
};
const receive = () => {
  const value = props.value ? JSON.parse(props.value) : null;
  const items = value ? value.items : [], list = $(".items");
  $(".quiet").hidden = items.length > 0;
  for (const [key, old] of cards) {
    if (!items.some((item) => item.key === key)) { old.remove(); cards.delete(key); }
  }
  items.forEach((item, index) => {
    const made = card(item.key), place = list.children[index];
    made.className = item.level;
    put(made.children[0], item.words);
    put(made.children[1], item.evidence);
    put(made.children[2], item.button);
    made.children[2].hidden = !item.button;
    if (place !== made) list.insertBefore(made, place || null);
  });
  // what is below moves down at most once for the tallest advice of a training; a hidden tab has no height
  const tall = Math.max(parseFloat(list.style.minHeight) || 0, list.offsetHeight);
  list.style.minHeight = value && tall ? `${tall}px` : "";
  if (value) put($(".about"), value.about);
};
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-key]");
  if (button) trigger("click", { advice: button.dataset.key });
});
watch("value", receive);
receive();
