// Looks again every two seconds while a push is under way; without this script a link does.
"use strict";
(function () {
    const region = document.getElementById("hub-live");
    const said = document.getElementById("hub-said");
    let shown = "";
    function show(html) {
        // The forms' tokens are masked anew in each answer.
        const plain = html.replace(/csrfmiddlewaretoken" value="[^"]*"/g, "");
        if (plain === shown) {
            return;
        }
        shown = plain;
        const focused = region.contains(document.activeElement) ? document.activeElement.id : "";
        const scrolled = region.querySelector(".hub-scroll") ? region.querySelector(".hub-scroll").scrollLeft : 0;
        region.innerHTML = html;
        if (focused && document.getElementById(focused)) {
            document.getElementById(focused).focus();
        }
        if (region.querySelector(".hub-scroll")) {
            region.querySelector(".hub-scroll").scrollLeft = scrolled;
        }
        said.textContent = region.firstElementChild.dataset.said;
    }
    function look() {
        fetch(region.dataset.url, {credentials: "same-origin", redirect: "error"}).then(function (answer) {
            return answer.ok ? answer.text() : Promise.reject(answer.status);
        }).then(function (html) {
            show(html);
            if (region.firstElementChild.dataset.open) {
                window.setTimeout(look, 2000);
            }
        }).catch(function () {
            window.setTimeout(look, 5000);
        });
    }
    if (region.firstElementChild.dataset.open) {
        window.setTimeout(look, 1000);
    }
}());
