// A pad, with strokes.js after it: its value is a data URI of strokes or of a chosen file; an empty text if it is empty.
const $ = (name) => element.querySelector(name);
const canvas = $('canvas'), pen = canvas.getContext('2d'), image = $('img'), sheet = $('.sheet');
pen.lineCap = pen.lineJoin = 'round';
pen.lineWidth = 17;
const send = (value) => { props.value = value; trigger('input'); };
const wipe = () => {
  pen.clearRect(0, 0, canvas.width, canvas.height);
  image.hidden = true;
  image.removeAttribute('src');
  $('input').value = '';
  send('');
};
element.addEventListener('click', (event) => {
  if (event.target.closest('.wipe')) wipe();
  else if (event.target.closest('.choose')) $('input').click();
});
$('input').addEventListener('change', (event) => take(event.target.files[0]));
