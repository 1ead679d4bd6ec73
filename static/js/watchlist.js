// Watchlists: order by dragging or Alt+arrow; the new order is sent once it stands.

let dragged = null;

function save(list) {
  const order = [...list.querySelectorAll("[data-row]")].map((row) => row.dataset.row);
  window.htmx.ajax("POST", list.dataset.sortable, {
    source: list, target: list, swap: "none", values: { order: order.join(",") },
  });
}

function move(row, step, focus = row.querySelector("a")) {
  const list = row.closest("[data-sortable]");
  const other = step < 0 ? row.previousElementSibling : row.nextElementSibling;
  if (!list || !other) return;
  if (step < 0) other.before(row);
  else other.after(row);
  focus?.focus();
  save(list);
}

export function start() {
  // For who cannot drag: a button, beside the keys.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-move-up]");
    if (button) move(button.closest("[data-row]"), -1, button);
  });
  document.addEventListener("dragstart", (event) => {
    dragged = event.target.closest?.("[data-sortable] [data-row]") || null;
    if (dragged) dragged.classList.add("dragging");
  });
  document.addEventListener("dragover", (event) => {
    const row = event.target.closest?.("[data-sortable] [data-row]");
    if (!dragged || !row || row.parentElement !== dragged.parentElement) return;
    event.preventDefault();
    const box = row.getBoundingClientRect();
    if (event.clientY < box.top + box.height / 2) row.before(dragged);
    else row.after(dragged);
  });
  document.addEventListener("dragend", () => {
    if (!dragged) return;
    dragged.classList.remove("dragging");
    save(dragged.closest("[data-sortable]"));
    dragged = null;
  });
  document.addEventListener("keydown", (event) => {
    if (!event.altKey || (event.key !== "ArrowUp" && event.key !== "ArrowDown")) return;
    const row = event.target.closest("[data-sortable] [data-row]");
    if (!row) return;
    event.preventDefault();
    move(row, event.key === "ArrowUp" ? -1 : 1);
  });
}
