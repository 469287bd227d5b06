// The part of the portal's script that applications use in a frame (contract §3, §8), spoken to the sandbox's page by messages.
"use strict";

window.BX24 = (() => {
  const waiting = new Map();
  let number = 0;
  let facts = null;

  function ask(call, params, done) {
    number += 1;
    if (done) waiting.set(number, done);
    window.parent.postMessage({ to: "sandbox", call, id: number, params }, "*");
  }

  window.addEventListener("message", (event) => {
    if (event.source !== window.parent || !event.data || event.data.to !== "bx24") return;
    const done = waiting.get(event.data.id);
    waiting.delete(event.data.id);
    if (done) done(event.data.result);
  });

  function init(done) {
    if (facts) return done && done();
    return ask("init", null, (found) => { facts = found; if (done) done(); });
  }

  const told = (name) => (facts ? facts[name] : undefined);
  return {
    init,
    ready: (done) => (document.readyState === "loading" ? document.addEventListener("DOMContentLoaded", done) : done()),
    install: (done) => init(done),
    installFinish: () => ask("installFinish"),
    getAuth: () => told("auth"),
    getLang: () => told("lang"),
    getDomain: () => told("domain"),
    isAdmin: () => told("admin"),
    fitWindow: (done) => ask("resize", { height: document.documentElement.scrollHeight }, done),
    resizeWindow: (width, height, done) => ask("resize", { width, height }, done),
    setTitle: (title) => { document.title = title; },
    closeApplication: () => ask("close"),
    placement: {
      info: () => ({ placement: told("placement"), options: told("options") }),
      call: (call, params, done) => ask(call, params, done),
      getInterface: (done) => done({ command: ["setPropertyValue"], event: [] }),
    },
  };
})();
