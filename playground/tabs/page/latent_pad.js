// A pad: strokes or a chosen file become the component's value, a data URI; an empty pad is an empty text.
const $ = (name) => element.querySelector(name);
const canvas = $('canvas'), pen = canvas.getContext('2d'), image = $('img'), LIMIT = 5 * 2 ** 20 + 1;
pen.lineCap = pen.lineJoin = 'round';
pen.lineWidth = 17;
let last = null;
const send = (value) => { props.value = value; trigger('input'); };
const at = (event) => {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
};
const wipe = () => {
  pen.clearRect(0, 0, canvas.width, canvas.height);
  image.hidden = true;
  image.removeAttribute('src');
  $('input').value = '';
  send('');
};
canvas.addEventListener('pointerdown', (event) => {
  canvas.setPointerCapture(event.pointerId);
  last = at(event);
  pen.beginPath();
  pen.arc(...last, pen.lineWidth / 2, 0, 2 * Math.PI);
  pen.fill();
});
canvas.addEventListener('pointermove', (event) => {
  if (!last) return;
  const here = at(event);
  pen.beginPath();
  pen.moveTo(...last);
  pen.lineTo(...here);
  pen.stroke();
  last = here;
});
const lift = () => {
  if (!last) return;
  last = null;
  send(canvas.toDataURL('image/png'));
};
canvas.addEventListener('pointerup', lift);
canvas.addEventListener('pointercancel', lift);
// The server judges the file; of one that is too heavy it gets just enough to say so.
const take = (file) => {
  if (!file) return;
  wipe();
  const reader = new FileReader();
  reader.onload = () => send(String(reader.result));
  reader.readAsDataURL(file.slice(0, LIMIT, file.type || 'application/octet-stream'));
  image.src = URL.createObjectURL(file);
  image.alt = file.name;
  image.hidden = false;
};
element.addEventListener('click', (event) => {
  if (event.target.closest('.wipe')) wipe();
  else if (event.target.closest('.choose')) $('input').click();
});
$('input').addEventListener('change', (event) => take(event.target.files[0]));
const sheet = $('.sheet');
sheet.addEventListener('dragover', (event) => { event.preventDefault(); sheet.classList.add('over'); });
sheet.addEventListener('dragleave', () => sheet.classList.remove('over'));
sheet.addEventListener('drop', (event) => {
  event.preventDefault();
  sheet.classList.remove('over');
  take(event.dataTransfer.files[0]);
});
