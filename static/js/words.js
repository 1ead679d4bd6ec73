// The modules' texts in the page's language. The catalogue (Django's JavaScriptCatalog) is loaded
// before the modules where the language is not English; without it the source text stands.

export const gettext = (text) => globalThis.django?.gettext(text) ?? text;

/** `format("at {price}", { price })`: the values put into a translated text. */
export function format(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
}
