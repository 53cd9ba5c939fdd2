// Where each group of z takes its values from, and the scale of all of it; the value is JSON.
const slots = element.querySelector('.slots'), slider = element.querySelector('input'), said = element.querySelector('output');
const send = () => {
  const choices = [...element.querySelectorAll('.group')].map((group) =>
    group.querySelector('[aria-pressed="true"]').dataset.choice);
  props.value = JSON.stringify({ choices, scale: Number(slider.value) });
  trigger('input');
};
const fill = () => {
  slots.innerHTML = props.groups || '';
  slider.value = 1;
  said.textContent = '1.00';
};
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-choice]');
  if (!button) return;
  button.parentElement.querySelectorAll('[data-choice]').forEach((other) =>
    other.setAttribute('aria-pressed', String(other === button)));
  send();
});
element.addEventListener('input', (event) => {
  if (event.target !== slider) return;
  said.textContent = Number(slider.value).toFixed(2);
  send();
});
watch('groups', fill);
watch('value', () => { if (!props.value) fill(); }); // another model
fill();
