"""Run the API by gunicorn's own command, with the options that `tracker serve` takes.

gunicorn -c config/gunicorn.conf.py     # settings: TRACKER_… of the environment, or TRACKER_CONFIG
"""

from tracker_service import serve

wsgi_app = "tracker_service.serve:app()"
globals().update(serve.options(serve.configured()))
