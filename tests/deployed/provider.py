"""An OpenID Connect provider of our own making: it says whatever a test lets it say. A real one is signed in at in
`tests/access`."""

import base64
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

CLIENT = "wastewalk"
AUDIENCE = "https://wastewalk.example.com/api"
SECRET = "the client's secret"


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Provider:
    """Serves its description, its keys and, for a code, the token that was last told to it."""

    def __init__(self):
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.id_token, self.secrets = "", []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                pages = {"/.well-known/openid-configuration": provider.description, "/keys": provider.keys}
                self.answer(pages[self.path]())

            def do_POST(self):
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                given = self.headers.get("Authorization") or form.get("client_secret", [""])[0]
                provider.secrets.append(given)
                self.answer({"access_token": "x", "token_type": "Bearer", "id_token": provider.id_token})

            def answer(self, said: dict):
                body = json.dumps(said).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def description(self) -> dict:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }

    def keys(self) -> dict:
        numbers = self.key.public_key().public_numbers()
        n, e = (base64url(number.to_bytes(length)) for number, length in [(numbers.n, 256), (numbers.e, 3)])
        return {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1", "n": n, "e": e}]}

    def token(self, audience: str, sub: str, role: str, key: rsa.RSAPrivateKey | None = None, **claims: str) -> str:
        """A token for an hour, signed by the provider's key or by another."""
        now = int(time.time())
        said = {"iss": self.issuer, "aud": audience, "sub": sub, "roles": [role], "iat": now, "exp": now + 3600, **claims}
        parts = ({"alg": "RS256", "typ": "JWT", "kid": "1"}, said)
        text = ".".join(base64url(json.dumps(part).encode()) for part in parts)
        signature = (key or self.key).sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{base64url(signature)}"

