// Leaving the page (a test run and *Duplicate* leave it too) asks first where something is typed and not saved;
// without this script it is gone, as everywhere in the admin.
"use strict";
(function () {
    const form = document.getElementById("robot_form");
    let saved, sending = false;
    function typed() {
        const fields = new URLSearchParams(new FormData(form));
        fields.sort();
        return fields.toString();
    }
    if (!form) {
        return;
    }
    // After order.js, which takes empty rows away.
    document.addEventListener("DOMContentLoaded", function () {
        window.django.jQuery(function () {
            // What comes back with errors is not saved.
            saved = form.querySelector(".errornote") ? "" : typed();
        });
    });
    form.addEventListener("submit", function () { sending = true; });
    window.addEventListener("pageshow", function () { sending = false; });
    window.addEventListener("beforeunload", function (event) {
        if (!sending && saved !== undefined && typed() !== saved) {
            event.preventDefault();
            event.returnValue = true;
        }
    });
}());
