// Live parts by a small poll, frames filled by a form, and the portal's side of BX24. No library, no build step.
"use strict";

const live = [...document.querySelectorAll("[data-live]")];
const texts = new Map(live.map((part) => [part, part.innerHTML]));

async function refresh(part) {
  if (part.contains(document.activeElement) && document.activeElement !== document.body) return;
  const answer = await fetch(part.dataset.live, { headers: { "Accept-Language": document.documentElement.lang } });
  if (!answer.ok) return;
  const text = await answer.text();
  if (text === texts.get(part)) return;
  texts.set(part, text);
  part.innerHTML = text;
}

async function beat() {
  if (!document.hidden) await Promise.allSettled(live.map(refresh));
  setTimeout(beat, 1000);
}
if (live.length) setTimeout(beat, 1000);

for (const form of document.querySelectorAll("form[data-autosubmit]")) form.submit();

const documents = document.querySelector("[data-documents]");
if (documents) {
  const show = () => {
    for (const list of document.querySelectorAll("[data-document]")) list.hidden = list.dataset.document !== documents.value;
  };
  documents.addEventListener("change", show);
  show();
}

for (const button of document.querySelectorAll("[data-confirm]")) {
  button.addEventListener("click", (event) => { if (!confirm(button.dataset.confirm)) event.preventDefault(); });
}

const frame = document.querySelector("iframe[data-portal]");
if (frame) {
  window.addEventListener("message", async (event) => {
    if (event.source !== frame.contentWindow || !event.data || event.data.to !== "sandbox") return;
    const { call, id, params } = event.data;
    let result = true;
    if (call === "init") {
      result = JSON.parse(document.getElementById("frame-facts").textContent);
    } else if (call === "installFinish") {
      const body = JSON.stringify({ client_id: frame.dataset.client });
      await fetch(`/control/portals/${frame.dataset.portal}/finish`, { method: "POST", body });
      const said = document.getElementById("frame-said");
      if (said) said.hidden = false;
    } else if (call === "setPropertyValue") {
      for (const [name, value] of Object.entries(params || {})) setValue(name, value);
    } else if (call === "resize") {
      frame.style.height = `${Math.max(120, Number(params.height) || 0)}px`;
    }
    frame.contentWindow.postMessage({ to: "bx24", id, result }, "*");
  });
}

function setValue(name, value) {
  const list = document.getElementById("set-values");
  if (!list) return;
  const items = Array.isArray(value) ? value : [value];
  list.querySelectorAll(`[data-name="${CSS.escape(name)}"]`).forEach((item) => item.remove());
  items.forEach((item, number) => {
    const line = document.createElement("li");
    line.dataset.name = name;
    line.textContent = `${name}: ${item}`;
    const input = document.createElement("input");
    input.type = "hidden";
    input.name = Array.isArray(value) ? `properties[${name}][${number}]` : `properties[${name}]`;
    input.value = item ?? "";
    line.append(input);
    list.append(line);
  });
}
