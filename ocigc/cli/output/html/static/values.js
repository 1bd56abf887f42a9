"use strict";
// What every part of the page uses: numbers as text, and elements of text. Names come from whoever pushed an image, so
// nothing here or elsewhere makes markup of a string.

const at = (id) => document.getElementById(id);

/** Bytes as the command prints them. */
function humanSize(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
  let size = Math.abs(bytes);
  let unit = 0;
  while (size >= 1000 && unit < units.length - 1) {
    size /= 1000;
    unit += 1;
  }
  return `${bytes < 0 ? "-" : ""}${Number(size.toPrecision(3))} ${units[unit]}`;
}

const count = (number) => number.toLocaleString("en");

const many = (number, one) => `${count(number)} ${one}${number === 1 ? "" : "s"}`;

const percent = (part, whole) => {
  const share = whole > 0 ? (100 * part) / whole : 0;
  return share > 0 && share < 1 ? "<1\u202f%" : `${Math.round(share)}\u202f%`;
};

/** An instant in seconds as a date; of one that no calendar has, "?". */
function day(seconds) {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? "?" : date.toISOString().slice(0, 10);
}

/** The time of day of such an instant, in UTC. */
const minute = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 16);

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

/** An element with attributes and children; a string becomes text. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function drawing(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A button that does something. */
function button(text, act, attributes = {}) {
  const made = element("button", { type: "button", ...attributes }, text);
  made.addEventListener("click", act);
  return made;
}

/** What a colour of the style sheet is at this moment, for a canvas. */
function colour(name) {
  const probe = element("span", { hidden: "" });
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
