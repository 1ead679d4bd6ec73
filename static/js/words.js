// The modules' texts in the page's language. The catalogue (Django's JavaScriptCatalog) is loaded
// before the modules where the language is not English; without it the source text stands.

export const gettext = (text) => globalThis.django?.gettext(text) ?? text;

/** What an event tells in `data[name]`, in the page's language: the server's records come with
    their code and values, and the catalogue has their texts by code. */
export function told(data, name) {
  const key = `record ${data[`${name}_code`]}`;
  const text = gettext(key);
  return text === key ? data[name] || "" : format(text, data[`${name}_values`]);
}

/** `format("at {price}", { price })`: the values put into a translated text. */
export function format(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
}
