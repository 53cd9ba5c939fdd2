// Translations: the server draws them, the page says which picture is taken apart and where the wipe stands.
const $ = (name) => element.querySelector(name);
const choose = (index) => {
  element.querySelectorAll('[data-of]').forEach((part) => { part.hidden = part.dataset.of !== index; });
  element.querySelectorAll('[data-show]').forEach((row) => row.setAttribute('aria-current', String(row.dataset.show === index)));
};
const draw = () => {
  if (!props.value) return;
  const shown = JSON.parse(props.value), body = $('.body');
  $('.pg-status').innerHTML = shown.status;
  $('.translated').classList.toggle('busy', Boolean(shown.busy));
  if (shown.busy || shown.body === undefined) return; // what was drawn before stays
  $('.ready').hidden = true;
  body.hidden = false;
  body.innerHTML = shown.body;
  choose('0');
};
element.addEventListener('click', (event) => {
  const row = event.target.closest('[data-show]');
  if (row) choose(row.dataset.show);
});
element.addEventListener('keydown', (event) => {
  const row = event.target.closest('[data-show]');
  if (!row || !['Enter', ' ', 'ArrowDown', 'ArrowUp'].includes(event.key)) return;
  event.preventDefault();
  const next = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[event.key] || row;
  next.focus();
  choose(next.dataset.show);
});
element.addEventListener('input', (event) => {
  const wipe = event.target.closest('.wipe');
  if (wipe) wipe.style.setProperty('--at', `${event.target.value}%`);
});
watch('value', draw);
draw();
