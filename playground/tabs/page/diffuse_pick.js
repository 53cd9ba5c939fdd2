// One emoji, or a file as it is: the value is "emoji:INDEX" or a data URI, empty while a digit is asked for.
const file = element.querySelector('input'), image = element.querySelector('img'), LIMIT = 5 * 2 ** 20 + 1;
const show = () => {
  const value = String(props.value || '');
  element.querySelectorAll('[data-emoji]').forEach((button) =>
    button.setAttribute('aria-pressed', String(value === `emoji:${button.dataset.emoji}`)));
  element.querySelector('.choose').setAttribute('aria-pressed', String(value.startsWith('data:')));
  if (!value.startsWith('data:')) {
    image.hidden = true;
    file.value = '';
  }
};
const send = (value) => {
  props.value = value;
  show();
  trigger('input');
};
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-emoji]');
  if (button) send(`emoji:${button.dataset.emoji}`);
  else if (event.target.closest('.choose')) file.click();
});
// The server judges the file; of one that is too heavy it gets just enough to say so.
file.addEventListener('change', () => {
  const chosen = file.files[0];
  if (!chosen) return;
  const reader = new FileReader();
  reader.onload = () => {
    image.src = URL.createObjectURL(chosen);
    image.alt = chosen.name;
    image.hidden = false;
    send(String(reader.result));
  };
  reader.readAsDataURL(chosen.slice(0, LIMIT, chosen.type || 'application/octet-stream'));
});
watch('value', show);
show();
