// Example prompts: a click makes one the value, and the same one again counts too.
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-prompt]');
  if (!button) return;
  element.querySelectorAll('[data-prompt]').forEach((other) => other.classList.toggle('chosen', other === button));
  if (props.value === button.dataset.prompt) props.value = '';
  props.value = button.dataset.prompt;
});
