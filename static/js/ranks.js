// Leaderboards move with rank_update: the first fifty rows come with each event.

import { direction, number, percent, rupees } from "app/format.js";
import { stream } from "app/stream.js";

function cell(row, name) {
  return row.querySelector(`[data-col="${name}"]`);
}

function figure(element, text, tone) {
  if (!element) return;
  if (element.textContent !== text) element.textContent = text;
  if (tone !== undefined) {
    element.classList.remove("up", "down", "flat");
    element.classList.add(direction(tone));
  }
}

function fill(row, entry) {
  const before = Number(row.dataset.rankNow) || entry.rank;
  row.dataset.rankNow = entry.rank ?? "";
  figure(cell(row, "rank"), entry.rank ? String(entry.rank) : "–");
  figure(cell(row, "return"), percent(entry.return_percent), entry.return_percent);
  figure(cell(row, "equity"), rupees(entry.equity));
  figure(cell(row, "day"), rupees(entry.day_pnl, 2, true), entry.day_pnl);
  if (entry.rank && before !== entry.rank) {
    const moved = cell(row, "moved");
    if (moved) {
      moved.textContent = before > entry.rank ? `▲ ${before - entry.rank}` : `▼ ${entry.rank - before}`;
      moved.className = `rank-move ${before > entry.rank ? "up" : "down"}`;
    }
    row.classList.remove("rank-moved");
    void row.offsetWidth; // restarts the animation
    row.classList.add("rank-moved");
  }
}

function onRanks(data) {
  const board = document.querySelector("[data-board='return'][data-live-contest]");
  if (!board || board.dataset.liveContest !== String(data.contest)) return;
  if (Number(board.dataset.offset) > 0 || !data.top) return;
  const body = board.querySelector("tbody");
  const template = board.querySelector("template");
  // In the order of the board: equal ranks are several rows.
  for (const [index, entry] of data.top.slice(0, Number(board.dataset.rows) || 50).entries()) {
    let row = body.querySelector(`[data-portfolio-row="${entry.portfolio_id}"]`);
    if (!row) {
      if (!template) continue;
      row = template.content.firstElementChild.cloneNode(true);
      row.dataset.portfolioRow = entry.portfolio_id;
      cell(row, "alias").textContent = entry.alias;
      row.classList.toggle("me", String(entry.portfolio_id) === document.body.dataset.portfolioId);
    }
    fill(row, entry);
    const place = body.children[index];
    if (place !== row) body.insertBefore(row, place || null);
  }
  // A page holds as many rows as it came with; who fell off it goes.
  while (body.children.length > (Number(board.dataset.rows) || 50)) body.lastElementChild.remove();
  const pinned = board.querySelector("tfoot [data-portfolio-row]");
  if (pinned && data.portfolio_id && String(data.portfolio_id) === pinned.dataset.portfolioRow) {
    fill(pinned, data);
    pinned.hidden = Boolean(body.querySelector(`[data-portfolio-row="${data.portfolio_id}"]`));
  }
  const of = document.querySelector("[data-rank-of]");
  if (of && data.of) of.textContent = number(data.of, 0);
}

export function start() {
  stream.on("event", (message) => {
    if (message.type === "rank_update") onRanks(message.data);
  });
}
