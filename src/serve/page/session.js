// The token: the page exchanges it for a cookie, which scripts cannot read.

/** Returns whether the server asks for a token, and whether this browser has shown it: { required, signed_in }. */
export async function session() {
  return (await fetch("/api/session", { cache: "no-store" })).json();
}

/** Returns null, or why the token was refused. */
export async function signIn(token) {
  const response = await fetch("/api/session", {
    method: "POST",
    headers: { Authorization: `Bearer ${token}` },
  });
  return response.ok ? null : (await response.text()).trim();
}

export async function signOut() {
  await fetch("/api/session", { method: "DELETE" });
}
