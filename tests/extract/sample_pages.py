"""Samples of challenge pages, and of ordinary pages of sites with the same bot protections.

The markup is shortened to what such pages have in common; numbers and keys are made up.
"""

#: Challenge pages by vendor. Each kind has been seen with status 200.
CHALLENGES = {
    "ozon": """<html lang="ru"><head><title>Доступ ограничен</title></head><body><noscript><div class="message"><h2>
    Пожалуйста, включите JavaScript для продолжения</h2><span>Нам нужно убедиться, что вы не робот.</span></div>
    <span>We need to make sure that you are not a robot.</span></noscript></body></html>""",
    "ozon, in Russian": "<body><span class=subtitle>\n Нам нужно убедиться, что вы не робот.\n </span></body>",
    "ozon, in English": "<body><h1>Please make sure that you are not a robot</h1></body>",
    "ozon, incident": "<p>Инцидент: fab_chlg_20260102030405_01ABCDEFGH</p>",
    "ozon, as JSON": '{"incidentId":"fab_chlg_20260102030405_01ABC","challengeURL":"https://shop.example/challenge"}',
    "ozon, title": "<html><head><title>Antibot Challenge Page</title></head><body></body></html>",
    "cloudflare": """<!DOCTYPE html><html><head><title>Just a moment...</title></head><body><noscript>Enable JavaScript
    and cookies to continue</noscript></body></html>""",
    "cloudflare, in another language": """<html><head><title>Einen Moment…</title></head><body><script>(function(){
    window._cf_chl_opt = {cvId: '3', cZone: "shop.example", cType: 'managed'};})();</script></body></html>""",
    "cloudflare, script": '<script src="/cdn-cgi/challenge-platform/h/b/orchestrate/chl_page/v1?ray=8f0"></script>',
    "cloudflare, refusal": "<html><head><title>Attention Required! | Cloudflare</title></head><body></body></html>",
    "datadome": """<html><head><title>shop.example</title></head><body><p id="cmsg">Please enable JS and disable any ad
    blocker</p><script data-cfasync="false">var dd={'rt':'c','cid':'AHr','hsh':'22','host':'geo.captcha-delivery.com'}
    </script></body></html>""",
    "datadome, frame": '<iframe src="https://geo.captcha-delivery.com/captcha/?initialCid=AHr" title="x"></iframe>',
    "datadome, script": '<script data-cfasync="false" src="https://ct.captcha-delivery.com/c.js"></script>',
    "perimeterx": """<html><head><title>Access to this page has been denied</title></head><body>Press & Hold to confirm
    you are a human (and not a bot).<script>window._pxAppId = 'PXabc';</script></body></html>""",
    "perimeterx, element": "<body><div class='px-captcha-container'><div id='px-captcha'></div></div></body>",
    "akamai": """<HTML><HEAD>\n<TITLE>Access Denied</TITLE>\n</HEAD><BODY>\n<H1>Access Denied</H1>\nYou don't have
    permission to access "http&#58;&#47;&#47;shop&#46;example&#47;" on this server.<P>\nReference&#32;&#35;18&#46;2b3c
    <P>https&#58;&#47;&#47;errors&#46;edgesuite&#46;net&#47;18&#46;2b3c</P>\n</BODY>\n</HTML>""",
    "imperva": """<html><head><META NAME="ROBOTS" CONTENT="NOINDEX, NOFOLLOW"></head><body><iframe id="main-iframe"
    src="/_Incapsula_Resource?SWUDNSAI=31&xinfo=8-12345-0%200NNN%20RT&incident_id=123-456&edet=12&cinfo=04000000">
    </iframe></body></html>""",
    "imperva, without frames": "<body>Request unsuccessful. Incapsula incident ID: 123000450-90123</body>",
    "imperva, title": "<html><head><title>Pardon Our Interruption</title></head><body></body></html>",
    "aws": """<html><head><title></title><script>window.awsWafCookieDomainList = [];\nwindow.gokuProps = {"key":"AQ"};
    </script><script src="https://abc.edge.sdk.awswaf.com/abc/def/challenge.js"></script></head></html>""",
    "aws, captcha": '<title>Human Verification</title><script>window.gokuProps = {"key":"AQ"};</script>',
    "ddos-guard": '<html><head><title>DDOS-GUARD</title><meta charset="utf-8"></head><body></body></html>',
    "ddos-guard, script": '<script src="/.well-known/ddos-guard/js-challenge/index.js"></script>',
    "yandex": """<html><head><title>Ой!</title></head><body><form method="POST" action="/checkcaptcha?key=3f5-b2e"
    id="checkbox-captcha-form"></form></body></html>""",
    "yandex, fast": '<form id="tmgrdfrend-form" action="/checkcaptchafast?state=x"></form>',
    "amazon": """<html><head><title>Robot Check</title></head><body><h4>Type the characters you see in this image:</h4>
    </body></html>""",
    "amazon, form": '<form method="get" action="/errors/validateCaptcha" name=""></form>',
    "sucuri": "<html><head><title>Sucuri WebSite Firewall - Access Denied</title></head></html>",
    "vercel": "<html><head><title>Vercel Security Checkpoint</title></head></html>",
}

#: Ordinary pages by vendor of the protection, or by what resembles a challenge.
ORDINARY = {
    "cloudflare": """<html><head><title>A book</title></head><body><img src="/cover.jpg"><script>(function(){
    window.__CF$cv$params={r:'8a1b',t:'MTcw'};var a=document.createElement('script');
    a.src='/cdn-cgi/challenge-platform/scripts/jsd/main.js';})();</script>
    <script src="/cdn-cgi/challenge-platform/h/g/scripts/jsd/a1b2c3/main.js"></script></body></html>""",
    "turnstile in a form": """<form action="/review"><div class="cf-turnstile" data-sitekey="0x4"></div></form>
    <script src="https://challenges.cloudflare.com/turnstile/v0/api.js"></script>""",
    "incapsula": """<html><head><title>A book</title></head><body><script type="text/javascript"
    src="/_Incapsula_Resource?SWJIYLWA=719d34d31c8e3a6e6fffd425f7e032f3&ns=2&cb=1234"></script></body></html>""",
    "datadome": """<script>window.ddjskey = 'A1B2';window.ddoptions = {};</script>
    <script src="https://js.datadome.co/tags.js"></script>
    <meta http-equiv="Content-Security-Policy" content="script-src https://ct.captcha-delivery.com">""",
    "perimeterx": "<script>window._pxAppId='PXabc';</script><script src='/abc/init.js'></script><img src=/a.jpg>",
    "akamai": '<script src="/akam/13/1f2e3d4c"></script><script>bmak.startTracking()</script><img src=/a.jpg>',
    "aws": '<script src="https://abc.eu-west-1.sdk.awswaf.com/abc/def/challenge.js" defer></script><img src=/a.jpg>',
    "ddos-guard": '<script src="/.well-known/ddos-guard/check?context=free_splash"></script><img src=/a.jpg>',
    "yandex": """<script src="https://smartcaptcha.yandexcloud.net/captcha.js"></script>
    <div class="smart-captcha" data-sitekey="ysc1"></div><script>function showCaptcha(){}</script>""",
    "a form with a sum": "<label>To make sure that you are not a robot, add the two numbers.</label> 2 + 3 = ?",
    "a form in Russian": "<i>Чтобы убедиться, что вы не робот, нажмите красный кружок</i>",
    "a form with a picture": "<label>Type the characters you see in this image: <input name=code></label>",
    "a book of that name": "<title>Just a Moment... by A. Writer</title><h1>Access Denied</h1>",
    "a book about it": "<title>Robots</title><p>Some set window._cf_chl_opt, some call ct.captcha-delivery.com",
    "a JSON response": '{"title": "Access to this page has been denied", "cover": "/a.jpg"}',
}
