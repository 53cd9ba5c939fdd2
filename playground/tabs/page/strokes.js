// After a script that defines canvas, pen, image, sheet, send and wipe: strokes and files on a sheet are sent as data
// URIs. The server judges a file; of one that is too heavy it gets just enough to say so.
const LIMIT = 5 * 2 ** 20 + 1;
let last = null;
const at = (event) => {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
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
const take = (file) => {
  if (!file) return;
  wipe();
  const reader = new FileReader();
  reader.onload = () => send(String(reader.result));
  reader.readAsDataURL(file.slice(0, LIMIT, file.type || 'application/octet-stream'));
  image.src = URL.createObjectURL(file);
  image.alt = file.name;
  image.onerror = () => { image.hidden = true; };
  image.hidden = false;
};
sheet.addEventListener('dragover', (event) => { event.preventDefault(); sheet.classList.add('over'); });
sheet.addEventListener('dragleave', () => sheet.classList.remove('over'));
sheet.addEventListener('drop', (event) => {
  event.preventDefault();
  sheet.classList.remove('over');
  take(event.dataTransfer.files[0]);
});
