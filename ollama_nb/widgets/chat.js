// The page's part of a chat: draws its turns, sends what is typed, keeps the notebook's copy whole.
//
// All state is the kernel's, so a page that is loaded again has it all: `model`, `busy`, `talk` and
// `turns`, of which the kernel later sends one at a time. An answer comes as HTML in which nothing
// runs (markdown.py); a question is only ever text.

const NEAR_THE_END_PX = 40;
const KERNEL_IS_BUSY = "the kernel runs a cell; this is asked when that is done";
const GONE = "The kernel that held this conversation is gone; run the cell to talk again.";
const ENDS = ["restarting", "autorestarting", "terminating", "dead"]; // of a kernel

function element(tag, className, properties = {}) {
  return Object.assign(document.createElement(tag), { className, ...properties });
}

/* What the page knows of the talk. */

function withTurn(model, { at, turn, copies }) {
  const turns = [...(model.get("turns") ?? [])];
  turns[at] = turn;
  addCopies(model, copies); // before it is seen, and then saved
  return turns;
}

function initialize({ model }) {
  let known = null; // the turns as they came one at a time
  const take = (turns) => model.set("turns", (known = turns)); // never saved: the kernel has it
  model.on("msg:custom", (message) => {
    if (message.type === "turn") take(withTurn(model, message));
    else if (message.type === "reset") take([]);
    else if (message.type === "copies") addCopies(model, message.copies);
    else if (message.type === "heard") unheard.get(message.id)?.();
  });
  // A state of all, as a page asks for it when it connects, may be older by now than what came.
  model.on("change:turns", () => model.get("turns") !== known && tell(model, { type: "ready" }));
  return watchKernel(model);
}

// A kernel that dies closes no channel, and one that the server starts again has nothing of this.
function watchKernel(model) {
  const session = model.widget_manager?.context?.sessionContext;
  const onEnd = () => model.set("is_gone", true);
  const onStatus = (_, status) => ENDS.includes(status) && onEnd();
  session?.statusChanged?.connect(onStatus);
  session?.kernelChanged?.connect(onEnd);
  return () => {
    session?.statusChanged?.disconnect(onStatus);
    session?.kernelChanged?.disconnect(onEnd);
  };
}

/* The way to the kernel. */

// When a page is loaded JupyterLab 4 may end the subshell that it sends widgets' messages to, and go
// on sending them there; the kernel drops them. Then ours take the way that all others take.
async function isRepaired(model) {
  const manager = model.widget_manager;
  const comm = (await manager?.get_model?.(model.get("talk")))?.comm?.jsServicesComm;
  if (!comm?.subshellId || !manager.kernel?.requestListSubshell) return false;
  const { content } = await manager.kernel.requestListSubshell({}).done;
  if (content.subshell_id?.includes(comm.subshellId)) return false;
  comm._subshellId = null;
  return true;
}

const unheard = new Map(); // id of a message -> what ends the wait for the kernel's word

async function tell(model, message) {
  const id = `${Date.now()}-${Math.random()}`;
  const heard = new Promise((resolve) => unheard.set(id, () => resolve(true)));
  const send = () => model.send({ ...message, id });
  try {
    send();
    while (!model.get("is_gone") && !(await Promise.race([heard, later(1000)])))
      if (await isRepaired(model)) send(); // the kernel takes each id once
  } catch {
    model.set("is_gone", true); // the way is closed
  }
  unheard.delete(id);
}

function later(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms, false));
}

/* The copy in the notebook: what came while no page with this notebook was open is added to it. */

function all(list) {
  return Array.from({ length: list?.length ?? 0 }, (_, at) => list.get(at));
}

function cellsOf(model) {
  const cells = all(model.widget_manager?.context?.model?.cells); // JupyterLab's and Notebook's
  return cells.flatMap(({ outputs }) => {
    const marks = all(outputs).map((output) => output.metadata?.ollama_nb ?? {});
    const here = marks.filter((mark) => mark.talk === model.get("talk")).map((mark) => mark.turn);
    return here.length ? [{ outputs, here: new Set(here) }] : [];
  });
}

function askForCopies(model) {
  const over = (model.get("turns") ?? []).filter((turn) => turn?.over);
  const cells = cellsOf(model);
  const lacking = over.filter(({ number }) => cells.some(({ here }) => !here.has(number)));
  const numbers = lacking.map(({ number }) => number);
  if (numbers.length) tell(model, { type: "copies", numbers });
}

function addCopies(model, copies) {
  if (!copies.length) return;
  for (const { outputs, here } of cellsOf(model))
    for (const copy of copies) if (!here.has(copy.metadata.ollama_nb.turn)) outputs.add(copy);
}

/* The turns, in a box of their own that follows the end unless the reader has scrolled up. */

function follower(box) {
  let follows = true;
  const toTheEnd = () => follows && (box.scrollTop = box.scrollHeight);
  box.addEventListener("scroll", () => {
    follows = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_THE_END_PX;
  });
  const sizes = new ResizeObserver(toTheEnd); // also when the box comes onto the page
  sizes.observe(box);
  return { toTheEnd, again: () => ((follows = true), toTheEnd()), end: () => sizes.disconnect() };
}

// Only what differs is replaced: a text that is being selected, or a fold, stays as it is.
function replaceChildren(node, html) {
  const fresh = element("template", "", { innerHTML: html }).content;
  let at = 0;
  while (node.childNodes[at] && fresh.firstChild?.isEqualNode(withoutFold(node.childNodes[at]))) {
    fresh.firstChild.remove();
    at++;
  }
  while (node.childNodes.length > at) node.lastChild.remove();
  node.append(fresh);
}

function withoutFold(node) {
  if (node.localName !== "details" || !node.open) return node;
  return Object.assign(node.cloneNode(true), { open: false });
}

function drawTurn(node, turn, typeset) {
  if (node.turn === turn || !turn) return;
  node.turn = turn;
  node.children[0].textContent = turn.question;
  replaceChildren(node.children[1], turn.html);
  node.setAttribute("aria-busy", String(!turn.over));
  if (turn.over) typeset?.(node.children[1]);
}

function newTurn() {
  const node = element("div", "ollama-nb-turn");
  node.append(element("pre", "ollama-nb-question"));
  node.append(element("div", "ollama-nb-answer jp-RenderedHTMLCommon"));
  return node;
}

function drawTurns(box, turns, typeset) {
  while (box.children.length > turns.length) box.lastChild.remove();
  while (box.children.length < turns.length) box.append(newTurn());
  turns.forEach((turn, at) => drawTurn(box.children[at], turn, typeset));
}

/* The controls below, whose keys are theirs; all others reach the notebook, Ctrl+S among them. */

function isOurs(event) {
  return event.key === "Enter" || !(event.ctrlKey || event.metaKey || event.altKey);
}

function fit(area) {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + 2}px`;
}

function controls() {
  const bar = element("div", "ollama-nb-bar");
  const area = element("textarea", "ollama-nb-box", { rows: 1, ariaLabel: "Question" });
  const name = element("span", "ollama-nb-model", { title: "the model that answers" });
  const state = element("span", "ollama-nb-state", { role: "status" });
  const send = element("button", "ollama-nb-send", { type: "button", textContent: "Send" });
  const stop = element("button", "ollama-nb-stop", { type: "button", textContent: "Stop" });
  area.placeholder = "Ask something. Enter sends, Shift+Enter begins a new line";
  bar.append(name, state, stop, send);
  return { area, bar, name, state, send, stop };
}

function render({ model, el }) {
  const root = element("div", "ollama-nb-chat");
  const box = element("div", "ollama-nb-turns", { role: "log", tabIndex: 0, ariaLabel: "Chat" });
  const gone = element("p", "ollama-nb-gone", { textContent: GONE });
  const { area, bar, name, state, send, stop } = controls();
  root.append(box, gone, area, bar);
  el.append(root);
  const end = follower(box);
  const typesetter = model.widget_manager?.rendermime?.latexTypesetter;
  const typeset = typesetter && ((node) => typesetter.typeset(node));
  let isAsked = false; // but not yet taken by the kernel

  function drawState() {
    const isBusy = model.get("busy");
    name.textContent = model.get("model");
    send.disabled = isBusy || isAsked;
    stop.disabled = !isBusy;
    area.readOnly = isAsked;
    if (!isBusy) state.textContent = "";
    root.classList.toggle("ollama-nb-is-gone", model.get("is_gone") ?? false);
  }

  function draw() {
    const turns = model.get("turns") ?? [];
    box.hidden = turns.length === 0;
    drawTurns(box, turns, typeset);
    end.toTheEnd();
  }

  function ask() {
    if (send.disabled || !area.value.trim()) return;
    isAsked = true;
    end.again();
    tell(model, { type: "ask", text: area.value });
    drawState();
    setTimeout(() => isAsked && (state.textContent = KERNEL_IS_BUSY), 1000);
  }

  function heard(message) {
    if (message.type !== "taken" || !isAsked) return;
    isAsked = false;
    state.textContent = "";
    if (message.taken) area.value = "";
    fit(area);
    drawState();
  }

  area.addEventListener("input", () => fit(area));
  area.addEventListener("keydown", (event) => {
    if (isOurs(event)) event.stopPropagation();
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    ask();
  });
  send.addEventListener("click", ask);
  stop.addEventListener("click", () => {
    state.textContent = "stopping";
    tell(model, { type: "stop" });
  });
  model.on("change:turns", draw);
  model.on("change:busy change:model change:is_gone", drawState);
  model.on("msg:custom", heard);
  draw();
  drawState();
  tell(model, { type: "ready" });
  askForCopies(model);
  return end.end;
}

export default { initialize, render };
