// Arrows that move an input or output up and down, and no empty one until it is asked for; without this script
// the numbers can be typed, and one empty form is there.
"use strict";
(function () {
    function rows(group) {
        return Array.from(group.querySelectorAll(".inline-related:not(.empty-form)"));
    }
    function number(group) {
        rows(group).forEach(function (row, place) {
            const input = row.querySelector("input[name$='-position']");
            const id = row.querySelector("input[name$='-identifier']");
            if (input && id && id.value) {
                input.value = place;
            }
        });
    }
    function move(group, row, by) {
        const all = rows(group);
        const other = all[all.indexOf(row) + by];
        if (!other) {
            return;
        }
        if (by < 0) {
            other.before(row);
        } else {
            other.after(row);
        }
        number(group);
    }
    function arrows(group, row) {
        const heading = row.querySelector("h3, h4");
        if (!heading || heading.querySelector(".hub-arrow")) {
            return;
        }
        [["↑", -1, group.dataset.up], ["↓", 1, group.dataset.down]].forEach(function (each) {
            const button = document.createElement("button");
            button.type = "button";
            button.className = "hub-arrow";
            button.textContent = each[0];
            button.setAttribute("aria-label", each[2]);
            button.title = each[2];
            button.addEventListener("click", function () {
                move(group, row, each[1]);
                button.focus();
            });
            heading.append(" ", button);
        });
    }
    function empty(row) {
        const typed = Array.from(row.querySelectorAll("input:not([type=hidden]), textarea")).some(function (field) {
            return field.type === "checkbox" ? field.checked !== field.defaultChecked : field.value !== field.defaultValue;
        });
        const id = row.querySelector("input[name$='-identifier']");
        return !typed && id && !id.value && !row.querySelector(".errorlist");
    }
    // The stock script makes the link that takes a new row away again, and counts the rows.
    function withoutEmpty(group) {
        rows(group).filter(empty).forEach(function (row) {
            const away = row.querySelector("a.inline-deletelink");
            if (away) {
                away.click();
            }
        });
    }
    document.addEventListener("DOMContentLoaded", function () {
        const words = document.getElementById("hub-order-words");
        document.querySelectorAll(".inline-group").forEach(function (group) {
            if (!group.querySelector("input[name$='-position']")) {
                return;
            }
            group.classList.add("hub-arrows");
            group.dataset.up = words ? words.dataset.up : "up";
            group.dataset.down = words ? words.dataset.down : "down";
            rows(group).forEach(function (row) { arrows(group, row); });
        });
        if (words && words.dataset.saved) {
            window.django.jQuery(function () {
                document.querySelectorAll(".hub-arrows").forEach(withoutEmpty);
            });
        }
        document.addEventListener("formset:added", function (event) {
            const group = event.target.closest(".inline-group");
            if (group && group.dataset.up) {
                arrows(group, event.target);
            }
        });
    });
}());
