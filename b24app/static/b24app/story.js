// The story of a call that is still on its way is read again by itself, ever more seldom; nothing else moves.
"use strict";
(function () {
    const FIRST = 2000, LONGEST = 30000;
    let wait = FIRST;
    function parts(page) {
        return page.querySelectorAll("#content-main [data-live]");
    }
    function show(page) {
        let changed = false;
        parts(page).forEach(function (fresh) {
            const shown = document.querySelector(`#content-main [data-live="${fresh.dataset.live}"]`);
            // What is being read with the keyboard stays; it is exchanged at a later look.
            if (!shown || shown.innerHTML === fresh.innerHTML || shown.contains(document.activeElement)) {
                return;
            }
            const unfolded = shown.querySelector("details[open]") !== null;
            shown.innerHTML = fresh.innerHTML;
            if (unfolded && shown.querySelector("details")) {
                shown.querySelector("details").open = true;
            }
            changed = true;
        });
        if (changed) {
            document.getElementById("hub-said").textContent = document.getElementById("hub-headline").textContent;
        }
        return changed;
    }
    function look() {
        if (document.hidden) {
            window.setTimeout(look, wait);
            return;
        }
        fetch(window.location.href, {credentials: "same-origin", redirect: "error"}).then(function (answer) {
            return answer.ok ? answer.text() : Promise.reject(answer.status);
        }).then(function (html) {
            const page = new DOMParser().parseFromString(html, "text/html");
            const main = page.getElementById("content-main");
            wait = show(page) ? FIRST : Math.min(wait * 1.5, LONGEST);
            const behind = Array.from(parts(page)).some(function (fresh) {
                const shown = document.querySelector(`#content-main [data-live="${fresh.dataset.live}"]`);
                return shown && shown.innerHTML !== fresh.innerHTML;
            });
            if (behind || (main && main.dataset.open)) {
                window.setTimeout(look, wait);
            }
        }).catch(function () {
            wait = LONGEST;
            window.setTimeout(look, wait);
        });
    }
    window.setTimeout(look, FIRST);
}());
