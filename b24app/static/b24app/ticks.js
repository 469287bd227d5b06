// Two buttons that tick all portals of a plan or none; without this script each box is ticked by hand.
"use strict";
(function () {
    const place = document.querySelector(".hub-ticks");
    const boxes = Array.from(document.querySelectorAll(".hub-plan input[name='portal']"));
    if (!place || boxes.length < 2 || !place.querySelector("input[type='submit']")) {
        return;
    }
    [[true, place.dataset.all], [false, place.dataset.none]].forEach(function (each) {
        const button = document.createElement("button");
        button.type = "button";
        button.className = "button hub-second";
        button.textContent = each[1];
        button.addEventListener("click", function () {
            boxes.forEach(function (box) { box.checked = each[0]; });
        });
        place.append(" ", button);
    });
}());
