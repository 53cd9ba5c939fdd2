// One of several tasks: the value is its key. What only some tasks need is shown by a style sheet of one rule.
const rule = document.head.appendChild(document.createElement('style'));
const show = () => {
  const chosen = String(props.value);
  element.querySelectorAll('[data-task]').forEach((button) =>
    button.setAttribute('aria-pressed', String(button.dataset.task === chosen)));
  element.querySelectorAll('[data-about]').forEach((text) => { text.hidden = text.dataset.about !== chosen; });
  rule.textContent = `.pg-for:not(.pg-for-${chosen}) { display: none !important; }`;
};
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-task]');
  if (!button) return;
  props.value = button.dataset.task;
  show();
});
watch('value', show);
show();
