// The key, and the calls it opens. The key comes with the address behind "#", which no browser sends to
// anybody; it is taken out of the address bar and kept for as long as this tab lives.

const STORED = "stream-events.dashboard.key";
const IN_ADDRESS = /^#key=(.+)$/;

let key = sessionStorage.getItem(STORED);
let locked = () => {};

/** Takes a key out of the address. True when there was one. */
export function takeKey() {
  const found = IN_ADDRESS.exec(location.hash);
  if (!found) return false;
  history.replaceState(null, "", location.pathname + location.search);
  try {
    useKey(decodeURIComponent(found[1]));
  } catch {
    useKey(found[1]);
  }
  return true;
}

export function useKey(text) {
  key = text;
  sessionStorage.setItem(STORED, key);
}

export const hasKey = () => Boolean(key);

export function forgetKey() {
  key = null;
  sessionStorage.removeItem(STORED);
}

/** Has a function called when the server does not take the key any more. */
export function onLocked(call) {
  locked = call;
}

export class ApiError extends Error {
  constructor(message, status, code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const encoder = new TextEncoder();

/** The bytes of a text, as a header takes them. Control characters are in no key. */
const headerOf = (text) => /[\u0000-\u001f\u007f]/.test(text) ? null : String.fromCharCode(...encoder.encode(text));

/** Calls the server; `body` is a JSON text. Gives the decoded answer, or throws an ApiError. */
export async function call(method, path, body) {
  const shown = headerOf(key || "");
  if (shown === null) throw refused(new ApiError("This is not the dashboard’s key.", 401, 5));
  let answer, response;
  try {
    response = await fetch(new URL("dashboard/api" + path, document.baseURI), {
      method, body, cache: "no-store", credentials: "omit", redirect: "error",
      headers: { "X-Dashboard-Key": shown, "Content-Type": "application/json" },
    });
    answer = await response.json();
  } catch {
    throw new ApiError(response ? "The server’s answer could not be read." : "The server cannot be reached.",
      response ? response.status : 0);
  }
  if (response.ok) return answer;
  throw refused(new ApiError(String(answer.message), response.status, answer.code));
}

function refused(error) {
  if (error.status === 401) locked(error);
  return error;
}

/** What to say about a call that failed: nothing when there is no connection, that is said elsewhere. */
export function problemOf(error) {
  if (!(error instanceof ApiError)) throw error;
  return error.status > 0 ? error.message : "";
}

/** A segment of a path; names are data. */
export const segment = encodeURIComponent;
