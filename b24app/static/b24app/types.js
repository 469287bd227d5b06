// Opens the options of an input or output as soon as its type is select; without this script they are opened by hand.
"use strict";
(function () {
    function open(field) {
        const row = field.closest(".inline-related");
        const options = row && row.querySelector("textarea[name$='-options']");
        const folded = options && options.closest("details");
        if (folded && field.value.trim() === "select") {
            folded.open = true;
        }
    }
    const TYPES = ".inline-related input[name$='-type']";
    document.addEventListener("DOMContentLoaded", function () {
        document.querySelectorAll(TYPES).forEach(open);
    });
    document.addEventListener("input", function (event) {
        if (event.target.matches(TYPES)) {
            open(event.target);
        }
    });
}());
