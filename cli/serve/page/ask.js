// ask.js -- asking the server: what all views of the page share

export const $ = (id) => document.getElementById(id);
export const page = { view: "complete", key: "", branches: [], at: -1, messages: [], stop: null };

export async function ask(method, path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  if (page.key) headers.Authorization = "Bearer " + page.key;
  const answer = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  if (answer.ok) return answer;
  if (answer.status === 401) $("key-form").hidden = false, $("key").focus();
  let message = answer.status + " " + answer.statusText;
  try { message = (await answer.json()).error.message; } catch { /* it says no more */ }
  throw new Error(message);
}

export const read = async (method, path, body) => (await ask(method, path, body)).json();
