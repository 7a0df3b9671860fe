// Passkeys: a form with data-passkey asks the browser for one, and sends what it answers. Its value names the element
// that holds the options as JSON: publicKey of navigator.credentials, with bytes in base64url.
"use strict";

(() => {
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const named = (list) => (list || []).map((one) => ({ ...one, id: bytes(one.id) }));

  async function made(options) {
    const user = { ...options.user, id: bytes(options.user.id) };
    const found = await navigator.credentials.create({ publicKey: {
      ...options, challenge: bytes(options.challenge), user, excludeCredentials: named(options.excludeCredentials) } });
    return told(found, { attestationObject: text(found.response.attestationObject) });
  }

  async function shown(options) {
    const found = await navigator.credentials.get({ publicKey: {
      ...options, challenge: bytes(options.challenge), allowCredentials: named(options.allowCredentials) } });
    const handle = found.response.userHandle;
    return told(found, { authenticatorData: text(found.response.authenticatorData),
      signature: text(found.response.signature), userHandle: handle ? text(handle) : null });
  }

  const told = (found, response) => JSON.stringify({
    id: found.id, rawId: text(found.rawId), type: found.type,
    authenticatorAttachment: found.authenticatorAttachment,
    clientExtensionResults: found.getClientExtensionResults(),
    response: { clientDataJSON: text(found.response.clientDataJSON), ...response },
  });

  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("form[data-passkey]");
    if (!form || form.elements.credential.value) return;
    event.preventDefault();
    const problem = form.querySelector("[role=alert]");
    problem.hidden = true;
    try {
      const options = JSON.parse(document.getElementById(form.dataset.passkey).textContent).publicKey;
      form.elements.credential.value = await (options.user ? made(options) : shown(options));
      form.requestSubmit();
    } catch (error) {
      problem.hidden = false;
      problem.textContent = error.name === "InvalidStateError"
        ? ferrisSay("This device has a passkey for you already.")
        : ferrisSay("No passkey was shown. Try again, or use another way.");
    }
  });
})();
